import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf, invalid } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

const upload = (
  fields: { filename?: string; mimeType?: string; md5?: string; size?: bigint },
  user = newUser(),
) =>
  service
    .as(user)
    .createPresignedUpload({ filename: 'a.txt', mimeType: 'text/plain', md5: md5('a'), ...fields });

describe('md5', () => {
  const HEX = '2942bfabb3d05332b66eb128e0842cff';
  const BASE64 = 'KUK/q7PQUzK2brEo4IQs/w==';

  it('is accepted in lower-case hex, upper-case hex and base64, and returned in base64', async () => {
    const user = newUser();
    const answers = [];
    for (const spelling of [HEX, HEX.toUpperCase(), BASE64])
      answers.push(await upload({ md5: spelling }, user));
    expect(answers.map((answer) => answer.md5)).toEqual([BASE64, BASE64, BASE64]);
    expect(new Set(answers.map((answer) => answer.s3Key)).size).toBe(1);
  });

  it.each([
    ['31 digits', HEX.slice(1)],
    ['33 digits', `${HEX}0`],
    ['a character that is not a hex digit', `g${HEX.slice(1)}`],
    ['base64 without padding', BASE64.slice(0, -2)],
    ['URL-safe base64', BASE64.replaceAll('/', '_')],
    ['base64 whose unused bits are set', BASE64.replace('w==', 'x==')],
    ['a blank before', ` ${HEX}`],
    ['a line feed behind', `${BASE64}\n`],
    ['nothing', ''],
    ['17 bytes', Buffer.alloc(17).toString('base64')],
  ])('refuses %s', async (_, spelling) => {
    expect(await failureOf(upload({ md5: spelling }))).toMatchObject(invalid('INVALID_MD5', 'md5'));
  });
});

describe('filename', () => {
  it.each([
    'two words.txt',
    `it's "quoted".txt`,
    '100%.txt',
    'a+b.txt',
    'a#b?c&d=e.txt',
    'Grüße.txt',
    '日本語.txt',
    '👩‍👩‍👧‍👦.png',
    'no-extension',
    '.gitignore',
    'two..dots',
    'archive.tar.gz',
    'trailing.',
    ' blank at both ends ',
    '%2e%2e%2f',
    '<script>alert(1)</script>.html'.replaceAll('/', '∕'),
    `${'x'.repeat(251)}.txt`,
    'ü'.repeat(255),
    '\u200fשלום\u200e.txt',
  ])('%j is listed unchanged, has a safe key, and can be uploaded and downloaded', async (filename) => {
    const user = newUser();
    const files = service.as(user);
    const answer = await upload({ filename, md5: md5(filename) }, user);
    expect(answer.s3Key).toMatch(/^[A-Za-z0-9._-]{1,240}$/);
    expect(await put(answer, filename)).toMatchObject({ status: 200 });

    const { files: listed } = await files.listFiles({});
    expect(listed).toMatchObject([{ filename, s3Key: answer.s3Key, state: FileState.READY }]);

    const { presignedUrl } = await files.createPresignedDownload({ s3Key: answer.s3Key });
    const response = await fetch(presignedUrl);
    expect(await response.text()).toBe(filename);
    const disposition = response.headers.get('content-disposition') ?? '';
    expect(disposition).toMatch(/^attachment; /);
    expect(decodeURIComponent(disposition.split("filename*=UTF-8''")[1] ?? '')).toBe(filename);
  });

  it.each([
    ['nothing', ''],
    ['a path', 'a/b.txt'],
    ['a Windows path', 'a\\b.txt'],
    ['the folder itself', '.'],
    ['the folder above', '..'],
    ['NUL', 'a\0.txt'],
    ['a line end', 'a\r\nb.txt'],
    ['a tab', 'a\tb'],
    ['DEL', 'a\x7f'],
    ['a C1 control', 'a\x85b'],
    ['a bidirectional override', 'a\u202etxt.exe'],
    ['a bidirectional isolate', 'a\u2066b'],
    ['256 characters', 'x'.repeat(256)],
    ['256 characters of four bytes each', '🦆'.repeat(256)],
  ])('refuses %s', async (_, filename) => {
    expect(await failureOf(upload({ filename }))).toMatchObject(invalid('INVALID_FILENAME', 'filename'));
  });

  it('refuses a lone surrogate, which only JSON can carry', async () => {
    const response = await fetch(`${service.httpUrl}/files.v1.FileService/CreatePresignedUpload`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-user-id': newUser() },
      body: `{"filename":"a\\ud800b.txt","mimeType":"text/plain","md5":"${md5('a')}"}`,
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/invalid_argument/);
  });

  it('treats composed and decomposed letters as the same name', async () => {
    const user = newUser();
    const composed = await upload({ filename: 'é.txt'.normalize('NFC'), md5: md5('1') }, user);
    const decomposed = await upload({ filename: 'é.txt'.normalize('NFD'), md5: md5('1') }, user);
    expect(decomposed.s3Key).toBe(composed.s3Key);
    const { file } = await service.as(user).getFile({ s3Key: composed.s3Key });
    expect(file?.filename).toBe('é.txt'.normalize('NFC'));
  });

  it('gives different keys to names that would be equal after escaping', async () => {
    const user = newUser();
    const names = ['a b.txt', 'a#b.txt', 'a_b.txt'];
    const answers = [];
    for (const filename of names) {
      const answer = await upload({ filename, md5: md5(filename) }, user);
      await put(answer, filename);
      answers.push(answer);
    }
    expect(new Set(answers.map(({ s3Key }) => s3Key)).size).toBe(3);
    for (const [i, filename] of names.entries()) {
      const { presignedUrl, file } = await service
        .as(user)
        .createPresignedDownload({ s3Key: answers[i]?.s3Key ?? '' });
      expect(file?.filename).toBe(filename);
      expect(await (await fetch(presignedUrl)).text()).toBe(filename);
    }
  });
});

describe('mime_type', () => {
  it.each([
    ['a line end', 'text/plain\r\nX-Evil: 1'],
    ['no slash', 'text'],
    ['nothing', ''],
    ['300 bytes', `text/${'x'.repeat(295)}`],
    ['two slashes', 'a/b/c'],
    ['a letter that is not ASCII', 'text/plaïn'],
    ['a parameter without a value', 'text/plain; charset'],
    ['a quote that does not end', 'text/plain; charset="utf-8'],
    ['a quote inside a value', 'text/plain; charset=utf"8'],
    ['a blank at the end', 'text/plain '],
    ['a blank behind a parameter', 'text/plain; charset=utf-8 '],
  ])('refuses %s', async (_, mimeType) => {
    expect(await failureOf(upload({ mimeType }))).toMatchObject(invalid('INVALID_MIME_TYPE', 'mime_type'));
  });

  it.each([
    'text/plain; charset=utf-8',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'image/svg+xml',
    'multipart/mixed; boundary="a b; c"',
    // MediaRecorder.mimeType of Chromium and WebKit, and Blob.type.
    'video/webm;codecs=vp8,opus',
    'video/mp4; codecs=avc1.42E01E, mp4a.40.2',
    'text/plain;',
    'text/plain; ;charset=utf-8;',
    // The grammar allows white space behind a `;`, also at the end.
    'text/plain; ',
    'text/plain;charset=utf-8 ; ',
    'application/ld+json;profile=https://www.w3.org/ns/activitystreams',
  ])('signs %s unchanged', async (mimeType) => {
    const user = newUser();
    const answer = await upload({ mimeType, md5: md5('typed') }, user);
    expect(answer.requiredHeaders['Content-Type']).toBe(mimeType);
    expect(await put(answer, 'typed')).toMatchObject({ status: 200 });
    const { file } = await service.as(user).getFile({ s3Key: answer.s3Key });
    expect(file).toMatchObject({ mimeType, state: FileState.READY });
  });
});

describe('size', () => {
  it('0 creates an empty file', async () => {
    const user = newUser();
    const answer = await upload({ md5: md5(''), size: 0n }, user);
    expect(answer.requiredHeaders).toEqual({
      'Content-Type': 'text/plain',
      'Content-MD5': md5(''),
      'Content-Length': '0',
    });
    expect(await put(answer, '')).toMatchObject({ status: 200 });
    const { files } = await service.as(user).listFiles({});
    expect(files).toMatchObject([{ size: 0n, state: FileState.READY }]);
    expect((await upload({ md5: md5(''), size: 0n }, user)).type).toBe(UploadType.EXISTING);
  });

  it('refuses a negative size', async () => {
    expect(await failureOf(upload({ size: -1n }))).toMatchObject(invalid('INVALID_SIZE', 'size'));
  });

  it('accepts 5 GiB, and names CreateMultipartUpload for larger sizes', async () => {
    const limit = 5n * 1024n ** 3n;
    expect((await upload({ size: limit })).requiredHeaders['Content-Length']).toBe('5368709120');
    for (const size of [limit + 1n, 2n ** 63n - 1n]) {
      expect(await failureOf(upload({ size }))).toMatchObject({
        ...invalid('FILE_TOO_LARGE', 'size'),
        metadata: { limit_bytes: '5368709120', use_rpc: 'CreateMultipartUpload' },
      });
    }
  });

  it('is exact up to 2^53 - 1 over JSON', async () => {
    const user = newUser();
    const call = (method: string, body: string) =>
      fetch(`${service.httpUrl}/files.v1.FileService/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-user-id': user },
        body,
      }).then((response) => response.text());
    const big = '5368709119';
    for (const size of [big, `"${big}"`]) {
      const text = await call(
        'CreatePresignedUpload',
        `{"filename":"a","mimeType":"a/b","md5":"${md5('big')}","size":${size}}`,
      );
      expect(JSON.parse(text).requiredHeaders['Content-Length']).toBe(big);
    }
    const { s3Key } = await upload({ md5: md5('big') }, user);
    await service.pool.query('update files set size = 9007199254740991 where user_id = $1', [user]);
    expect(await call('GetFile', JSON.stringify({ s3Key }))).toContain('"size":"9007199254740991"');
  });
});
