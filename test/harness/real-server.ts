/** The S3 server that the TEST_S3_* variables name. The scripts in test/servers write these variables. */
export interface RealServer {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Undefined if TEST_S3_ENDPOINT is not set: then the tests start a development object store. */
export function realServer(): RealServer | undefined {
  const {
    TEST_S3_ENDPOINT: endpoint,
    TEST_S3_REGION: region = 'us-east-1',
    TEST_S3_ACCESS_KEY_ID: accessKeyId = '',
    TEST_S3_SECRET_ACCESS_KEY: secretAccessKey = '',
  } = process.env;
  return endpoint ? { endpoint, region, credentials: { accessKeyId, secretAccessKey } } : undefined;
}
