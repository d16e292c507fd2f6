import { expect, it } from 'vitest';
import type { PendingFile } from '../../src/files/file.ts';
import { listFiles } from '../../src/files/operations/list-files.ts';
import { ampleCall } from '../harness/deadline.ts';

type Ports = Parameters<typeof listFiles>[0];

/** A user with this many pending uploads, of whose objects S3 has none. */
function portsOf(uploads: number) {
  let asked = 0;
  const pending = Array.from(
    { length: uploads },
    (_, i) => ({ s3Key: `${i}`, state: 'pending' }) as PendingFile,
  );
  const ports = {
    store: {
      list: async (_call: unknown, _query: unknown, pendingLimit: number) => ({
        ready: [],
        pending: pending.slice(0, pendingLimit),
        examinedTo: undefined,
      }),
    },
    objects: { head: async () => void asked++ },
    observer: {},
  } as unknown as Ports;
  return { ports, asked: () => asked };
}

it.each([
  { uploads: 2_000, unverifiedUploads: 0 },
  { uploads: 2_001, unverifiedUploads: 1 },
  // One upload more than the list verifies shows that there are more, and not how many.
  { uploads: 2_010, unverifiedUploads: 1 },
])(
  'a list verifies 2,000 pending uploads of $uploads, and says that $unverifiedUploads are left at least',
  async ({ uploads, unverifiedUploads }) => {
    const { ports, asked } = portsOf(uploads);
    const request = { pageSize: 0, pageToken: '', filenamePrefix: '' };
    const page = await listFiles(ports)(ampleCall(), request);
    expect(page).toMatchObject({ files: [], unverifiedUploads });
    expect(asked()).toBe(2_000);
  },
);
