/** Each row about the bucket says no if the server answers accordingly. */
import { describe, expect, it } from 'vitest';
import { examine } from '../../src/doctor/examine.ts';
import { expectedEtag, PARTS } from '../../src/doctor/s3/multipart-upload.ts';
import { openProbedBucket } from '../../src/doctor/s3/open-probed-bucket.ts';
import { bucketRows } from '../../src/doctor/s3/rows.ts';
import { digestOf, SAMPLE_BYTES, SAMPLE_TYPE } from '../../src/doctor/s3/sample.ts';
import type { ProbeRequest, S3Answer } from '../../src/doctor/s3/send.ts';
import { createTraces } from '../../src/doctor/s3/traces.ts';

const settings = {
  bucket: 'files',
  uploadHeaders: { whole: {}, part: {} },
  downloadQuery: { 'response-content-disposition': 'attachment', 'response-cache-control': 'no-store' },
  multipartSeconds: 3_600,
  createCommand: 'create it',
  origin: 'https://app.example.com',
};

type Respond = (request: ProbeRequest) => Partial<S3Answer> | undefined;

/** The answers of a server that keeps every guarantee. */
const correct: Respond = (request) => {
  const { method, key, query = {}, signed = {}, sent = {}, signature, ageSeconds = 0 } = request;
  const name = key.replace(/^file-service-doctor-[0-9a-f]+-/, '');
  if (method === 'OPTIONS') {
    return {
      headers: {
        'access-control-allow-origin': '*',
        'access-control-allow-headers': 'content-type, content-md5',
      },
    };
  }
  if (signature !== undefined || ageSeconds > 60) return { status: 403, code: 'AccessDenied' };
  if (Object.keys(sent).some((header) => header.startsWith('x-amz-'))) return { status: 403 };
  if (name.startsWith('other-')) return { status: 400, code: 'BadDigest' };
  if (method === 'POST') return { body: '<UploadId>id</UploadId>' };
  if (
    'partNumber' in query &&
    signed['Content-MD5'] !== digestOf(request.body ?? Buffer.alloc(0), 'base64')
  ) {
    return { status: 400, code: 'BadDigest' };
  }
  if (method === 'DELETE') return { status: 204 };
  if (method === 'GET' && 'uploadId' in query) {
    if (name === 'aborted') return { status: 404, code: 'NoSuchUpload' };
    const part = (bytes: Buffer, i: number) =>
      `<Part><PartNumber>${i + 1}</PartNumber><Size>${bytes.length}</Size><ETag>&quot;e&quot;</ETag></Part>`;
    return { body: PARTS.map(part).join('') };
  }
  if ('uploads' in query) {
    const own = `<Upload><Key>${KEY.aborted}</Key><Initiated>${new Date().toISOString()}</Initiated></Upload>`;
    return { body: own };
  }
  if ('list-type' in query) return { body: `<Contents><Key>${query.prefix}</Key></Contents>` };
  if (name === 'missing' || (name === 'removed' && method === 'HEAD')) return { status: 404 };
  if (method === 'HEAD') {
    const etag = name === 'multipart' ? expectedEtag() : digestOf(SAMPLE_BYTES, 'hex');
    return {
      headers: { etag: `"${etag}"`, 'content-type': SAMPLE_TYPE, 'x-amz-server-side-encryption': 'AES256' },
    };
  }
  if (method === 'GET' && name === 'sample') return { body: SAMPLE_BYTES.toString() };
  if (name === 'download')
    return { headers: { 'content-disposition': 'attachment', 'cache-control': 'no-store' } };
  return {};
};

const KEY = { aborted: '' };

/** Returns the rows that do not say yes if the server answers some requests as `change` says. */
async function answersOf(change: Respond = () => undefined) {
  const send = async (request: ProbeRequest): Promise<S3Answer> => ({
    status: 200,
    code: '',
    body: '',
    ...(change(request) ?? correct(request)),
    headers: { date: new Date().toUTCString(), ...(change(request) ?? correct(request))?.headers },
  });
  const sends = { sendProbe: send, sendPublicProbe: send };
  const bucket = openProbedBucket(sends, settings, createTraces(send), new AbortController().signal);
  KEY.aborted = bucket.key('aborted');
  const rows = await examine(bucketRows({ publicEndpoint: true, origin: true }), bucket);
  return rows
    .filter(({ answer }) => answer !== 'yes')
    .map(({ answer, title, seen }) => `${answer}: ${title}: ${seen}`);
}

const isNamed = (request: ProbeRequest, name: string) => request.key.endsWith(`-${name}`);
const to =
  (method: string, name: string, answer: Partial<S3Answer>): Respond =>
  (request) =>
    request.method === method && isNamed(request, name) ? answer : undefined;

describe('each row about the bucket', () => {
  it('says yes about a server that keeps every guarantee', async () => {
    expect(await answersOf()).toEqual([]);
  });

  it.each<[string, Respond]>([
    [
      'no: a URL with a wrong signature is refused: 200, accepted',
      (r) => (r.signature === 'wrong' ? {} : undefined),
    ],
    ['no: a URL is refused after its expiry: 200, accepted', (r) => (r.ageSeconds ? {} : undefined)],
    [
      'no: a GET without a signature is refused: 200, accepted',
      (r) => (r.signature === 'none' && isNamed(r, 'sample') ? {} : undefined),
    ],
    [
      'no: an upload URL cannot publish its object (x-amz-acl): 200, and a GET without a signature: 200',
      (r) => (isNamed(r, 'acl') ? {} : undefined),
    ],
    [
      'no: an upload URL cannot copy another object (x-amz-copy-source): 200, copied',
      (r) => (isNamed(r, 'copy') ? { body: SAMPLE_BYTES.toString() } : undefined),
    ],
    [
      'no: the clocks of S3 and of this host agree to a minute: 60. s apart',
      to('PUT', 'sample', { headers: { date: new Date(Date.now() - 600_000).toUTCString() } }),
    ],
    ['no: a PUT of other bytes than its Content-MD5 is refused: 200, accepted', to('PUT', 'other-bytes', {})],
    [
      'no: a PUT with another Content-MD5 than its URL signs is refused: 200, accepted',
      to('PUT', 'other-md5', {}),
    ],
    [
      'no: a PUT with another Content-Type than its URL signs is refused: 200, accepted',
      to('PUT', 'other-type', {}),
    ],
    [
      'no: a PUT of another length than its URL signs is refused: 200, accepted',
      to('PUT', 'other-length', {}),
    ],
    [
      'no: a key of [0-9]+ bytes is accepted: 400 KeyTooLongError',
      (r) => (/k{100}$/.test(r.key) ? { status: 400, code: 'KeyTooLongError' } : undefined),
    ],
    [
      'no: a part with other bytes than its Content-MD5 is refused: 200, accepted',
      (r) => (isNamed(r, 'aborted') && r.query?.partNumber ? {} : undefined),
    ],
    [
      'no: ListParts tells number, size and ETag of each part: 1 parts',
      to('GET', 'multipart', { body: '<Part><PartNumber>1</PartNumber><Size>5</Size></Part>' }),
    ],
    [
      'no: open multipart uploads are listed: 200, but not listed',
      (r) => (r.query?.uploads === '' && r.method === 'GET' ? {} : undefined),
    ],
    [
      'no: an aborted multipart upload is gone: 204, then ListParts: 200',
      (r) => (r.method === 'GET' && isNamed(r, 'aborted') ? {} : undefined),
    ],
    [
      'no: no open multipart upload is older than uploads live: 1 open, the oldest for 48 h',
      (r) => {
        if (r.query?.uploads !== '' || r.method !== 'GET') return undefined;
        const old = new Date(Date.now() - 48 * 3_600_000).toISOString();
        return { body: `${correct(r)?.body}<Upload><Key>u_a</Key><Initiated>${old}</Initiated></Upload>` };
      },
    ],
    ['no: a missing object is answered with 404: 403', to('HEAD', 'missing', { status: 403 })],
    [
      'no: a removed object is gone, and removing it twice succeeds: 204, HEAD: 200, again: 204',
      to('HEAD', 'removed', {}),
    ],
    [
      'no: an object is in the list of the bucket at once: 200, but not listed',
      (r) => (r.query?.['list-type'] ? {} : undefined),
    ],
    [
      'no: the bucket keeps no versions: Enabled',
      (r) => (r.query?.versioning === '' ? { body: '<Status>Enabled</Status>' } : undefined),
    ],
    [
      'cannot tell: the bucket keeps no versions: 403 AccessDenied',
      (r) => (r.query?.versioning === '' ? { status: 403, code: 'AccessDenied' } : undefined),
    ],
    [
      'no: pages of the given origin may upload (CORS): 403, allowed origin: none, missing headers: .*',
      (r) => (r.method === 'OPTIONS' ? { status: 403 } : undefined),
    ],
    [
      'cannot tell: a URL with a wrong signature is refused: 503',
      (r) => (r.signature === 'wrong' ? { status: 503 } : undefined),
    ],
  ])('%s', async (expected, change) => {
    expect(await answersOf(change)).toEqual([expect.stringMatching(new RegExp(`^${escaped(expected)}$`))]);
  });

  it('says no about ETags, the type and the encryption that HEAD does not tell', async () => {
    const head = to('HEAD', 'sample', { headers: { etag: '"other"', 'content-type': 'text/plain' } });
    expect(await answersOf(head)).toEqual([
      `no: the ETag of an object is its MD5, or HEAD declares SSE-KMS: "other" instead of ${digestOf(SAMPLE_BYTES, 'hex')}`,
      'no: the Content-Type of an object is kept: text/plain',
      'no: S3 says that it encrypts objects: HEAD declares nothing',
    ]);
  });

  it('says yes about an ETag that is no MD5 if HEAD declares SSE-KMS', async () => {
    const headers = {
      etag: '"other"',
      'content-type': SAMPLE_TYPE,
      'x-amz-server-side-encryption': 'aws:kms',
    };
    expect(await answersOf(to('HEAD', 'sample', { headers }))).toEqual([]);
  });

  it('says no about a multipart ETag of another form', async () => {
    const [answer] = await answersOf(to('HEAD', 'multipart', { headers: { etag: '"other"' } }));
    expect(answer).toMatch(/^no: a multipart ETag is made of the MD5s of its parts/);
  });

  it('names the step of a multipart upload that fails, also in the body of a 200', async () => {
    const refused: Respond = (r) =>
      r.method === 'POST' && r.query?.uploadId ? { status: 200, code: 'InternalError' } : undefined;
    expect(await answersOf(refused)).toContain(
      'no: a multipart upload of two parts is completed: CompleteMultipartUpload: 200 InternalError',
    );
  });

  it('says no about downloads whose headers the uploader chose', async () => {
    const headers = { 'content-disposition': 'inline', 'cache-control': 'max-age=60' };
    expect(await answersOf(to('GET', 'download', { headers }))).toEqual([
      'no: a download is an attachment with its own name (Content-Disposition): inline',
      'no: a download URL replaces the headers that the uploader stored: Cache-Control: max-age=60',
    ]);
  });

  it.each<[Partial<S3Answer>, string]>([
    [{ status: 404, code: 'NoSuchBucket' }, 'no'],
    [{ status: 403, code: 'SignatureDoesNotMatch' }, 'no'],
    [{ status: 301, code: 'PermanentRedirect' }, 'no'],
    [{ status: 503 }, 'cannot tell'],
  ])('says only that the bucket cannot be used if S3 answers %j to a list', async (answer, expected) => {
    const requests = new Set<ProbeRequest>();
    const answers = await answersOf((request) => {
      requests.add(request);
      return answer;
    });
    const [first, ...others] = answers;
    expect(first).toMatch(`${expected}: the bucket is there, and S3 accepts the keys: ${answer.status}`);
    const reason = `the first fact ${expected === 'no' ? 'does not hold' : 'cannot be told'}`;
    for (const other of others) expect(other).toContain(`: not examined, because ${reason}`);
    expect(others.length).toBeGreaterThan(25);
    expect(requests.size).toBe(1);
  });

  it('examines the other rows also if the role may not list the bucket', async () => {
    const answers = await answersOf((r) =>
      r.query?.['list-type'] ? { status: 403, code: 'AccessDenied' } : undefined,
    );
    expect(answers).toEqual(['no: an object is in the list of the bucket at once: 403 AccessDenied']);
  });

  it('tells nothing about other refusals if a correct PUT is refused', async () => {
    const answers = await answersOf((r) =>
      r.method === 'PUT' ? { status: 403, code: 'AccessDenied' } : undefined,
    );
    expect(answers[0]).toBe('no: a PUT with the required headers is accepted: 403 AccessDenied');
    const refusals = answers.filter((answer) =>
      answer.includes('S3 refuses a correct PUT: 403 AccessDenied'),
    );
    expect(refusals.length).toBeGreaterThan(12);
    for (const answer of refusals) expect(answer).toMatch(/^cannot tell: /);
  });
});

/** Escapes a text, except for the parts that are patterns: `[0-9]+`, `60.` and `.*`. */
function escaped(text: string): string {
  return text.replace(/[()]|\.(?![ *])/g, '\\$&');
}
