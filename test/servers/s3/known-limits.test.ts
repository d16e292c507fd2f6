import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KNOWN_LIMITS, serverName } from './known-limits.ts';

const files = new Set(Object.values(KNOWN_LIMITS).flatMap((limits) => limits.map(({ file }) => file)));

// The runner checks the titles when it collects a file, so it never checks the limits of a file that is gone.
it.each([...files])('%s, which has known limits, exists', (file) =>
  access(join(import.meta.dirname, '../..', file)),
);

it('an unknown server has no known limits', () => {
  expect(['garage', 'toString', undefined].map((name) => serverName({ TEST_S3_SERVER: name }))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
