import { expect, it } from 'vitest';
import { createCommand } from '../../src/doctor/s3/bucket/create-command.ts';

const at = (host: string, region: string) => ({ bucket: 'files', region, url: new URL(`https://${host}/`) });

it.each([
  [
    'Amazon’s first region needs no constraint',
    at('files.s3.us-east-1.amazonaws.com', 'us-east-1'),
    undefined,
    '--region us-east-1',
  ],
  [
    'Amazon’s other regions need a constraint',
    at('files.s3.eu-central-1.amazonaws.com', 'eu-central-1'),
    undefined,
    '--region eu-central-1 --create-bucket-configuration LocationConstraint=eu-central-1',
  ],
  [
    'another server gets its endpoint and no constraint',
    at('s3.internal', 'home'),
    'https://s3.internal',
    '--region home --endpoint-url https://s3.internal',
  ],
  [
    'characters of a shell are quoted',
    at('s3.internal', 'a b'),
    "https://s3.internal/?a&b'c",
    "--region 'a b' --endpoint-url 'https://s3.internal/?a&b'\\''c'",
  ],
])('the command that creates a bucket: %s', (_, located, endpoint, options) => {
  expect(createCommand(located, endpoint)).toBe(`aws s3api create-bucket --bucket files ${options}`);
});
