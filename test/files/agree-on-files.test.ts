import { expect, it } from 'vitest';
import { type AgreePorts, agreeOnFiles } from '../../src/files/agree-on-files.ts';
import { CallAbandonedError } from '../../src/files/call.ts';
import type { PendingFile } from '../../src/files/file.ts';
import type { UploadIntent } from '../../src/files/ports/reservations.ts';
import type { Fingerprint } from '../../src/files/rules/fingerprint.ts';

const CALL = { userId: 'ada', deadline: Date.now() + 60_000 };

type Intent = Omit<UploadIntent, 's3Key'>;

/** @returns the names and types that are written after the rows were created */
async function written(intents: readonly Intent[]): Promise<string[]> {
  const texts: string[] = [];
  const store: Partial<AgreePorts['store']> = {
    reserve: async (_, plan) => ({ file: { ...plan, state: 'pending' } as PendingFile, created: true }),
    updateIntent: async (_, { filename, mimeType }) => void texts.push(`${filename} ${mimeType}`),
  };
  const agreed = await agreeOnFiles(CALL, { store } as AgreePorts, intents);
  expect([...agreed.values()].map(({ status }) => status)).toEqual(intents.map(() => 'fulfilled'));
  return texts;
}

const intent = (filename: string, mimeType = 'text/plain'): Intent => ({
  fingerprint: 'same' as Fingerprint,
  filename,
  mimeType,
  size: undefined,
});

it('1,000 names of one content cost one statement, which writes the last name', async () => {
  const intents = Array.from({ length: 1_000 }, (_, i) => intent(`${i}`));
  expect(await written(intents)).toEqual(['999 text/plain']);
});

it('one of several types is written too, because the row remembers that there were several', async () => {
  const intents = [intent('a'), intent('b', 'text/markdown'), intent('c', 'text/html'), intent('d')];
  expect(await written(intents)).toEqual(['b text/markdown', 'd text/plain']);
  expect(await written(intents.slice(0, 3))).toEqual(['b text/markdown', 'c text/html']);
  expect(await written(intents.slice(0, 2))).toEqual(['b text/markdown']);
});

it('equal requests write nothing', async () => {
  expect(await written([intent('a'), intent('a')])).toEqual([]);
});

it('after the client has disconnected, no further content is reserved, and the call fails', async () => {
  let reserved = 0;
  const store = {
    reserveMany: async (_, plans) => plans.map(() => ({ refused: 'contention' as const })),
    reserve: async (_, plan) => {
      reserved++;
      return { file: { ...plan, state: 'pending' } as PendingFile, created: true };
    },
  } satisfies Partial<AgreePorts['store']>;
  const intents = Array.from({ length: 100 }, (_, i) => ({
    ...intent(`${i}`),
    fingerprint: `${i}` as Fingerprint,
  }));
  const abandoned = { ...CALL, isAbandoned: () => reserved >= 40 };
  const agreed = agreeOnFiles(abandoned, { store } as unknown as AgreePorts, intents);
  await expect(agreed).rejects.toThrow(CallAbandonedError);
  expect(reserved).toBeLessThan(40 + 32);
});
