/**
 * Variables and profiles of AWS change where the SDK's commands go. The requests without the SDK and the URLs for
 * users must go to the same server, with a signature for the same region.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Md5 } from '../../src/files/rules/md5.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { createMultipartStore } from '../../src/s3/multipart-uploads.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend } from '../../src/s3/send.ts';
import { createSign } from '../../src/s3/signing/sign.ts';
import { createPresigner } from '../../src/s3/urls/presign.ts';
import { openBucket } from '../../src/server/backends/open-bucket.ts';
import { ampleCall } from '../harness/deadline.ts';

const KEY = parseS3Key('u_a.txt');
const MD5 = 'KUK/q7PQUzK2brEo4IQs/w==' as Md5;

interface Settings {
  bucket?: string;
  region?: string;
  endpoint?: string;
  publicEndpoint?: string;
}

/** Where a request goes (`https://host/path-of-the-bucket`), and the region of its signature. */
interface Target {
  to: string;
  region: string | undefined;
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'aws-variables-'));
});
afterAll(() => rm(directory, { recursive: true }));

let files = 0;
/** Writes a new file, because the SDK keeps the content of a file that it has read. */
async function writeProfiles(text: string): Promise<string> {
  const path = join(directory, `config-${files++}`);
  await writeFile(path, text);
  return path;
}

beforeEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_CONFIG_FILE', await writeProfiles(''));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', await writeProfiles(''));
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
});
afterEach(() => vi.unstubAllEnvs());

/** The ports of the service, whose requests are recorded and not sent. */
async function openPorts({ bucket = 'bucket', region = 'eu-west-1', endpoint, publicEndpoint }: Settings) {
  const location = { bucket, region, endpoint, forcePathStyle: false, credentials: undefined };
  const { client, located, publicly } = await openBucket(location, publicEndpoint);
  const sent: Target[] = [];
  client.config.requestHandler.handle = async (request) => {
    const { protocol, hostname, port, path, query, headers } = request as SentRequest;
    const address = new URL(`${protocol}//${hostname}${port ? `:${port}` : ''}${path}`);
    const scope =
      headers.authorization ?? query['X-Amz-Credential'] ?? address.searchParams.get('X-Amz-Credential');
    sent.push({ to: bucketOf(address), region: regionIn(scope) });
    return { response: { statusCode: 404, headers: {}, body: Readable.from([]) } } as never;
  };
  const send = createSend((_, run) => run());
  const sign = createSign(client, publicly);
  return {
    sent,
    objects: createObjectStore(client, located, send),
    multipart: createMultipartStore(client, located.bucket, send),
    presigner: createPresigner(sign, { uploadSeconds: 60, downloadSeconds: 60 }),
  };
}

interface SentRequest {
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
}

/** The address of the bucket, which is the address of the request without the key. */
function bucketOf({ origin, pathname }: URL): string {
  return `${origin}${pathname.replace(/\/(u_a\.txt)?$/, '')}`;
}

function regionIn(scope: string | null | undefined): string | undefined {
  return scope?.match(/AKIDEXAMPLE\/\d+\/([^/]+)\/s3\//)?.[1];
}

function targetOf(url: string): Target {
  const address = new URL(url);
  return { to: bucketOf(address), region: regionIn(address.searchParams.get('X-Amz-Credential')) };
}

/** All requests that the service sends, and all URLs that it gives to users. */
async function targets(settings: Settings) {
  const { sent, objects, multipart, presigner } = await openPorts(settings);
  const call = ampleCall();
  const ignore = () => undefined;
  await objects.check(call).catch(ignore);
  await multipart.begin(call, KEY, 'text/plain').catch(ignore);
  await multipart.parts(call, KEY, 'id').catch(ignore);
  await multipart.complete(call, KEY, 'id', []).catch(ignore);
  const commands = sent.splice(0);
  // The answer 404 does not say what is missing, so the SDK asks with a GET.
  await objects.head(call, KEY).catch(ignore);
  const [head, explaining] = sent.splice(0);
  // The answer 404 is unexpected for a DELETE, so the SDK repeats it.
  await objects.remove(call, KEY).catch(ignore);
  const [remove, repeated] = sent.splice(0);
  const { url: upload } = await presigner.presignUpload({ s3Key: KEY, mimeType: 'a/b', md5: MD5, size: 1 });
  const { urls } = await presigner.presignParts({
    s3Key: KEY,
    uploadId: 'id',
    parts: [{ number: 1, md5: MD5, size: 1 }],
  });
  const download = await presigner.presignDownload({ s3Key: KEY, filename: 'a.txt', mimeType: 'a/b' });
  return {
    commands: [...commands, explaining, repeated],
    requests: [head, remove],
    urls: [upload, urls[0]?.url ?? '', download.url].map(targetOf),
  };
}

const AMAZON = { to: 'https://bucket.s3.eu-west-1.amazonaws.com', region: 'eu-west-1' };

interface Case {
  name: string;
  variables?: Record<string, string>;
  /** The content of the file of AWS_CONFIG_FILE. */
  profiles?: string;
  settings?: Settings;
  expected: Target;
}

const CASES: Case[] = [
  { name: 'no variable', expected: AMAZON },
  {
    name: 'AWS_ENDPOINT_URL_S3',
    variables: { AWS_ENDPOINT_URL_S3: 'http://s3.internal:9000/base', AWS_ENDPOINT_URL: 'http://other' },
    expected: { to: 'http://bucket.s3.internal:9000/base', region: 'eu-west-1' },
  },
  {
    name: 'AWS_ENDPOINT_URL',
    variables: { AWS_ENDPOINT_URL: 'https://aws.internal' },
    expected: { to: 'https://bucket.aws.internal', region: 'eu-west-1' },
  },
  {
    name: 'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS',
    variables: { AWS_ENDPOINT_URL_S3: 'http://s3.internal', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' },
    expected: AMAZON,
  },
  {
    name: 'S3_ENDPOINT, which is used before AWS_ENDPOINT_URL_S3',
    variables: { AWS_ENDPOINT_URL_S3: 'http://s3.internal' },
    settings: { endpoint: 'http://given:9000' },
    expected: { to: 'http://bucket.given:9000', region: 'eu-west-1' },
  },
  {
    name: 'endpoint_url of a profile',
    profiles: '[default]\nendpoint_url = https://profile.internal\n',
    expected: { to: 'https://bucket.profile.internal', region: 'eu-west-1' },
  },
  {
    name: 'endpoint_url of the profile that AWS_PROFILE names',
    variables: { AWS_PROFILE: 'other', AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
    profiles:
      '[profile other]\nendpoint_url = https://other.internal\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n',
    expected: { to: 'https://bucket.other.internal', region: 'eu-west-1' },
  },
  {
    name: 'the services section of a profile',
    profiles:
      '[default]\nservices = mine\nendpoint_url = https://all.internal\n\n[services mine]\ns3 =\n  endpoint_url = https://section.internal\n',
    expected: { to: 'https://bucket.section.internal', region: 'eu-west-1' },
  },
  {
    name: 'ignore_configured_endpoint_urls of a profile',
    profiles: '[default]\nendpoint_url = https://profile.internal\nignore_configured_endpoint_urls = true\n',
    expected: AMAZON,
  },
  {
    name: 'AWS_USE_FIPS_ENDPOINT',
    variables: { AWS_USE_FIPS_ENDPOINT: 'true' },
    settings: { region: 'us-east-2' },
    expected: { to: 'https://bucket.s3-fips.us-east-2.amazonaws.com', region: 'us-east-2' },
  },
  {
    name: 'use_fips_endpoint of a profile',
    profiles: '[default]\nuse_fips_endpoint = true\n',
    settings: { region: 'us-east-2' },
    expected: { to: 'https://bucket.s3-fips.us-east-2.amazonaws.com', region: 'us-east-2' },
  },
  {
    name: 'AWS_USE_DUALSTACK_ENDPOINT',
    variables: { AWS_USE_DUALSTACK_ENDPOINT: 'true' },
    expected: { to: 'https://bucket.s3.dualstack.eu-west-1.amazonaws.com', region: 'eu-west-1' },
  },
  {
    name: 'FIPS and dual stack together',
    variables: { AWS_USE_FIPS_ENDPOINT: 'true', AWS_USE_DUALSTACK_ENDPOINT: 'true' },
    settings: { region: 'us-east-2' },
    expected: { to: 'https://bucket.s3-fips.dualstack.us-east-2.amazonaws.com', region: 'us-east-2' },
  },
  {
    name: 'a region whose name asks for FIPS',
    settings: { region: 'fips-us-east-2' },
    expected: { to: 'https://bucket.s3-fips.us-east-2.amazonaws.com', region: 'us-east-2' },
  },
  {
    name: 'the global region, which signs for us-east-1',
    settings: { region: 'aws-global' },
    expected: { to: 'https://bucket.s3.amazonaws.com', region: 'us-east-1' },
  },
  {
    name: 'AWS_REGION, AWS_DEFAULT_REGION and the region of a profile, which S3_REGION replaces',
    variables: { AWS_REGION: 'us-west-2', AWS_DEFAULT_REGION: 'us-west-1' },
    profiles: '[default]\nregion = sa-east-1\n',
    expected: AMAZON,
  },
  {
    name: 'AWS_S3_USE_ARN_REGION, AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS and AWS_AUTH_SCHEME_PREFERENCE',
    variables: {
      AWS_S3_USE_ARN_REGION: 'true',
      AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS: 'true',
      AWS_AUTH_SCHEME_PREFERENCE: 'sigv4a',
    },
    expected: AMAZON,
  },
  {
    name: 'the alias of an access point',
    settings: { bucket: 'my-point-aqfqprnstn7aefdfbarligizwgyfouse1a-s3alias' },
    expected: {
      to: 'https://my-point-aqfqprnstn7aefdfbarligizwgyfouse1a-s3alias.s3.eu-west-1.amazonaws.com',
      region: 'eu-west-1',
    },
  },
];

describe.each(CASES)('$name', ({ variables = {}, profiles, settings = {}, expected }) => {
  it('commands, requests without the SDK and URLs go to one server', async () => {
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    if (profiles !== undefined) vi.stubEnv('AWS_CONFIG_FILE', await writeProfiles(profiles));
    const { commands, requests, urls } = await targets(settings);
    expect(commands.length).toBeGreaterThan(4);
    for (const target of [...commands, ...requests, ...urls]) expect(target).toEqual(expected);
  });
});

it('S3_PUBLIC_ENDPOINT changes the URLs only, whatever the variables of AWS say', async () => {
  vi.stubEnv('AWS_USE_FIPS_ENDPOINT', 'true');
  const { commands, requests, urls } = await targets({
    region: 'us-east-2',
    publicEndpoint: 'https://files.example.com',
  });
  const fips = { to: 'https://bucket.s3-fips.us-east-2.amazonaws.com', region: 'us-east-2' };
  for (const target of [...commands, ...requests]) expect(target).toEqual(fips);
  for (const target of urls)
    expect(target).toEqual({ to: 'https://bucket.files.example.com', region: 'us-east-2' });
});

it.each<[string, Record<string, string>, Settings, RegExp]>([
  [
    'a FIPS endpoint beside S3_ENDPOINT',
    { AWS_USE_FIPS_ENDPOINT: 'true' },
    { endpoint: 'http://given' },
    /FIPS/,
  ],
  ['an endpoint that is no URL', { AWS_ENDPOINT_URL_S3: 'nowhere' }, {}, /URI|URL/],
  ['a directory bucket', {}, { bucket: 'mine--use1-az4--x-s3', region: 'us-east-1' }, /presigned/],
  [
    'a bucket on Outposts',
    {},
    { bucket: 'test-accessp-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3' },
    /./,
  ],
])('the start fails with one message for %s', async (_, variables, settings, reason) => {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  const failure = await openPorts(settings).catch((error: unknown) => error);
  expect(failure).toMatchObject({ name: 'StartupError', message: expect.stringMatching(reason) });
});

it('the embedded store has one endpoint, so variables of AWS do not change it', async () => {
  vi.stubEnv('AWS_USE_FIPS_ENDPOINT', 'true');
  vi.stubEnv('AWS_USE_DUALSTACK_ENDPOINT', 'true');
  const { located, client } = await openBucket(
    {
      bucket: 'files',
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:9000',
      forcePathStyle: true,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      endpointVariants: false,
    },
    undefined,
  );
  expect(located.url.href).toBe('http://127.0.0.1:9000/files/');
  client.destroy();
});
