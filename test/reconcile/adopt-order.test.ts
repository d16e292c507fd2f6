import { expect, it } from 'vitest';
import type { StoredObject } from '../../src/files/file.ts';
import { reconcile } from '../../src/files/maintenance/reconcile.ts';
import type { ReconcilePorts } from '../../src/files/maintenance/reconcile-ports.ts';
import type { AdoptedFile, ListedObject } from '../../src/files/ports/inventories.ts';
import { type Fingerprint, isPossible } from '../../src/files/rules/fingerprint.ts';

const ETAG = '0'.repeat(32);
const OBJECT: ListedObject = { s3Key: 'u_a.txt', size: 1, etag: ETAG, lastModified: new Date() };

/** Ports with an empty table and one object, and the steps that were taken. */
function portsWith(over: { etag?: string; hasRow: () => boolean }) {
  const steps: string[] = [];
  const adopted: AdoptedFile[] = [];
  const stored: StoredObject = {
    ...OBJECT,
    etag: over.etag ?? ETAG,
    isEtagOpaque: false,
    fingerprint: (over.etag ?? ETAG) as Fingerprint,
    mimeType: 'text/plain',
    contentEncoding: '',
  };
  const ports = {
    rows: {
      scan: async function* () {},
      has: async () => {
        steps.push('has');
        return over.hasRow();
      },
      ownsUploads: async () => true,
      keyOfContent: async () => undefined,
      adopt: async (_: unknown, file: AdoptedFile) => adopted.push(file) > 0,
    },
    bucket: {
      list: async function* () {
        yield OBJECT;
      },
      uploads: async function* () {},
    },
    objects: {
      head: async () => {
        steps.push('head');
        return stored;
      },
    },
  } as unknown as ReconcilePorts;
  return { ports, steps, adopted };
}

const OPTIONS = { action: 'adopt', minAgeSeconds: 3_600, maxRepairs: 10, onProgress: () => {} } as const;

it('an object whose row was committed after the table was read is no finding', async () => {
  const { ports } = portsWith({ hasRow: () => true });
  const report = await reconcile(ports, { ...OPTIONS, action: 'report' });
  expect(report).toMatchObject({ objects: { count: 1 }, young: { count: 0 }, adoptable: { count: 0 } });
  expect(report.lostTail).toBeUndefined();
});

it('adopting looks for a row before the object, so that it cannot see an object that a delete removes', async () => {
  // The row is a tombstone that was written after the comparison.
  let looks = 0;
  const { ports, steps, adopted } = portsWith({ hasRow: () => looks++ > 0 });
  const report = await reconcile(ports, OPTIONS);
  expect(steps).toEqual(['has', 'has']);
  expect(adopted).toEqual([]);
  expect(report.refusals).toEqual([expect.stringContaining('have a row now')]);
});

it.each([`${ETAG}-0`, `${ETAG}-007`, `${ETAG}-10001`, `${ETAG}-99999`])(
  'an object with the ETag %s is not adopted, because no upload has it',
  async (etag) => {
    const { ports, adopted } = portsWith({ etag, hasRow: () => false });
    const report = await reconcile(ports, OPTIONS);
    expect(adopted).toEqual([]);
    expect(report.refusals).toEqual([expect.stringContaining('their content is not known')]);
  },
);

it.each([ETAG, `${ETAG}-1`, `${ETAG}-10000`])('an object can have the ETag %s', (etag) => {
  expect(isPossible(etag as Fingerprint)).toBe(true);
});
