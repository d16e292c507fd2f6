import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../../harness/service-process.ts';
import { findServer } from '../../servers/server-program.ts';
import type { Command } from './measure.ts';
import type { Network } from './servers.ts';

export interface Contestant {
  name: string;
  /** @param place a user or a prefix: a contestant that gets it again finds what it has uploaded there */
  command(network: Network, path: string, place: string): Command;
}

/** `VARIABLE=value… node OPTION… src/main.ts upload` */
const { upload }: { upload: string } = JSON.parse(
  readFileSync(join(PROJECT, 'package.json'), 'utf8'),
).scripts;
const [variables = '', words = ''] = upload.split(' node ');
const UPLOAD_ENVIRONMENT: Readonly<Record<string, string>> = Object.fromEntries(
  variables.split(' ').map((variable) => variable.split('=', 2)),
);
const UPLOAD_ARGUMENTS = words.split(' ').map((word) => (word.endsWith('.ts') ? join(PROJECT, word) : word));
const COMPILE_CACHE = join(PROJECT, 'node_modules/.cache/node');

/** The command of this repository, started as `npm run upload` starts it, with its cache of MD5s. */
export function uploadCommand(cacheDirectory: string): Contestant {
  return {
    name: '`npm run upload`',
    command: ({ serviceUrl }, path, place) => ({
      program: process.execPath,
      args: [...UPLOAD_ARGUMENTS, path, '--user', place, '--url', serviceUrl, '--quiet'],
      environment: {
        ...UPLOAD_ENVIRONMENT,
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        XDG_CACHE_HOME: join(cacheDirectory, place),
      },
    }),
  };
}

/** `Upload` of the AWS SDK, with the part size and the concurrency of the command. */
export const sdk: Contestant = {
  name: 'lib-storage',
  command: ({ s3 }, path, place) => ({
    program: process.execPath,
    args: [join(import.meta.dirname, 'sdk-child.ts'), JSON.stringify(s3), place, path],
    environment: { NODE_COMPILE_CACHE: COMPILE_CACHE },
  }),
};

/** @returns undefined if it is not installed */
export async function findRclone(...options: string[]): Promise<Contestant | undefined> {
  const program = await findServer('rclone');
  if (program === undefined) return undefined;
  return {
    name: ['rclone', ...options].join(' '),
    command: ({ s3 }, path, place) => ({
      program,
      args: ['copy', path, `s3:${s3.bucket}/${place}`, ...options],
      environment: {
        // No file of the user: the variables below are the whole configuration.
        RCLONE_CONFIG: '/dev/null',
        RCLONE_CONFIG_S3_TYPE: 's3',
        RCLONE_CONFIG_S3_PROVIDER: 'Other',
        RCLONE_CONFIG_S3_ENDPOINT: s3.endpoint,
        RCLONE_CONFIG_S3_REGION: s3.region,
        RCLONE_CONFIG_S3_ACCESS_KEY_ID: s3.credentials.accessKeyId,
        RCLONE_CONFIG_S3_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
      },
    }),
  };
}

/** @returns undefined if it is not installed */
export async function findS5cmd(): Promise<Contestant | undefined> {
  const program = await findServer('s5cmd');
  if (program === undefined) return undefined;
  return {
    name: 's5cmd',
    command: ({ s3 }, path, place) => ({
      program,
      args: ['--endpoint-url', s3.endpoint, 'cp', path, `s3://${s3.bucket}/${place}/`],
      environment: {
        AWS_REGION: s3.region,
        AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
      },
    }),
  };
}
