/** The environment of every stack: the same servers and the same schema. */
export const DATABASE_URL = variable('DATABASE_URL');
export const BUCKET = variable('S3_BUCKET');
export const ENDPOINT = variable('S3_ENDPOINT');
export const REGION = variable('S3_REGION');
export const ACCESS_KEY_ID = variable('AWS_ACCESS_KEY_ID');
export const SECRET_ACCESS_KEY = variable('AWS_SECRET_ACCESS_KEY');
export const POOL_SIZE = 10;
export const URL_SECONDS = 3_600;
export const DOWNLOAD_SECONDS = 300;

/** Logs the same lines as the service at its start, so that the same code can start all stacks. */
export function tellServing(grpcPort: number): void {
  for (const msg of ['serving', 'ready']) {
    process.stdout.write(`${JSON.stringify({ msg, grpcPort, httpPort: 0 })}\n`);
  }
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is required`);
  return value;
}
