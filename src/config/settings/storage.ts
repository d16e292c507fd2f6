import { flag, text, url } from '../setting.ts';
import { UPLOAD_HEADER_NAMES, uploadHeadersProblem } from '../upload-headers.ts';

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** The settings that name the bucket and tell how to reach it. */
export const STORAGE = {
  bucket: text('S3_BUCKET', {
    problem: (name) => (BUCKET.test(name) ? undefined : 'must be the name of a bucket'),
    desc: 'The bucket. Only this service may write to it.',
  }),
  region: text('S3_REGION', {
    desc: 'The region of the bucket. Default: `AWS_REGION`, else `us-east-1`.',
  }),
  awsRegion: text('AWS_REGION', { default: 'us-east-1', desc: 'Used if S3_REGION is unset.' }),
  endpoint: url('S3_ENDPOINT', {
    protocols: ['http:', 'https:'],
    desc: 'The endpoint of an S3 server other than Amazon’s. If a private authority signed its certificate, set `NODE_EXTRA_CA_CERTS` of Node to the file of that authority.',
  }),
  publicEndpoint: url('S3_PUBLIC_ENDPOINT', {
    protocols: ['http:', 'https:'],
    desc: 'The S3 endpoint in presigned URLs, if clients reach S3 under another name than this service.',
  }),
  forcePathStyle: flag('S3_FORCE_PATH_STYLE', {
    default: false,
    desc: 'Whether URLs have the bucket in the path and not in the host name. Most servers other than Amazon’s need `true`.',
  }),
  allowUncheckedSignatures: flag('S3_ALLOW_UNCHECKED_SIGNATURES', {
    default: false,
    desc: 'Whether the service may be ready with an S3 server that accepts wrong signatures. For test doubles (moto, S3Mock, gofakes3) only: every client that reaches such a server can read and replace every file.',
  }),
  uploadHeaders: text('S3_UPLOAD_HEADERS', {
    problem: uploadHeadersProblem,
    desc: `Headers that a policy of the bucket demands of uploads, as \`NAME=VALUE\`, separated by commas. They become part of \`required_headers\`: ${UPLOAD_HEADER_NAMES.map((name) => `\`${name}\``).join(', ')}.`,
  }),
};
