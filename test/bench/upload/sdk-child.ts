/** Uploads a file with `Upload` of the AWS SDK: `sdk-child.ts S3 KEY PATH`, S3 as JSON. */
import { createReadStream } from 'node:fs';
import { S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { S3Address } from './servers.ts';

const [address = '', key = '', path = ''] = process.argv.slice(2);
const { endpoint, region, bucket, credentials } = JSON.parse(address) as S3Address;
const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
const params = { Bucket: bucket, Key: key, Body: createReadStream(path) };
await new Upload({ client, params, partSize: 64 * 1024 ** 2, queueSize: 4 }).done();
client.destroy();
