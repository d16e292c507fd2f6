import { isDeepStrictEqual } from 'node:util';
import type { Message } from '@bufbuild/protobuf';
import { put } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import { READY_FILE, READY_USER } from './calls.ts';
import type { Stack } from './stack.ts';

/** Checks that the stacks do the same work. @throws when two stacks return different responses */
export async function compareAnswers(stacks: readonly Stack[]): Promise<void> {
  const answers = await Promise.all(stacks.map(answersOf));
  const [first] = answers;
  answers.forEach((own, i) => {
    for (const [call, answer] of Object.entries(own)) {
      if (isDeepStrictEqual(answer, first?.[call])) continue;
      throw new Error(
        `${stacks[i]?.name} answers ${call} with ${text(answer)}, but ${stacks[0]?.name} answers with ${text(first?.[call])}`,
      );
    }
  });
}

async function answersOf(stack: Stack): Promise<Record<string, unknown>> {
  const files = stack.client(READY_USER);
  const { s3Key } = READY_FILE;
  const bytes = 'to be compared';
  const created = await files.createPresignedUpload({
    filename: 'compared.txt',
    mimeType: 'text/plain',
    md5: md5(bytes, 'hex'),
  });
  const { status } = await put(created, bytes);
  if (status !== 200) throw new Error(`the URL of ${stack.name} answers ${status}`);
  const deleted = await files.deleteFile({ s3Key: created.s3Key });
  const request = { ...READY_FILE, mimeType: 'text/plain' };
  return {
    'create, new': comparable(created),
    delete: comparable(deleted),
    'create, existing': comparable(await files.createPresignedUpload(request)),
    list: (await files.listFiles({})).files.map(comparable),
    get: comparable((await files.getFile({ s3Key })).file),
    download: comparable(await files.createPresignedDownload({ s3Key })),
  };
}

/** The response without the values that differ at each call: times, and the signatures of URLs. */
function comparable(message: Message | undefined): unknown {
  const { $typeName: _, ...fields } = (message ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([name]) => name !== 'expireTime' && name !== '$unknown')
      .map(([name, value]) => [
        name,
        name === 'presignedUrl' && value !== '' ? comparableUrl(String(value)) : plain(value),
      ]),
  );
}

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return '$typeName' in value ? comparable(value as Message) : value;
}

/** The parts of a URL that all stacks must agree on. The rest of the query may be written in different ways. */
function comparableUrl(url: string): unknown {
  const { origin, pathname, searchParams } = new URL(url);
  const signed = ['X-Amz-SignedHeaders', 'X-Amz-Expires', 'X-Amz-Algorithm'].map((name) =>
    searchParams.get(name),
  );
  return [origin + pathname, ...signed];
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}` : one));
}
