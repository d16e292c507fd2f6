import fc from 'fast-check';
import { expect, it } from 'vitest';
import { filenameOfPath } from '../../../src/cli/upload/find/filename.ts';
import { parseFilename } from '../../../src/files/rules/filename.ts';
import { s3Key } from '../../../src/files/rules/s3-key.ts';

it('a path below a directory becomes a name that the service accepts, with _ in its key', () => {
  expect(filenameOfPath('2024/summer/a.jpg')).toBe('2024／summer／a.jpg');
  expect(parseFilename(filenameOfPath('2024/a.jpg'))).toBe('2024／a.jpg');
  expect(s3Key('ada', filenameOfPath('2024/a.jpg'))).toBe('ada_2024_a.jpg');
});

/** The inverse of `filenameOfPath`. It exists, so no two paths get the same name. */
function pathOf(filename: string): string {
  return filename.replace(/‛([‛／])|／/g, (_, quoted?: string) => quoted ?? '/');
}

it('different paths have different names, also where a name has the separator itself', () => {
  const name = fc.string({ unit: fc.constantFrom('a', '／', '‛', '_', '.'), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), (names) => {
      const path = names.join('/');
      expect(filenameOfPath(path)).not.toContain('/');
      expect(pathOf(filenameOfPath(path))).toBe(path);
    }),
    { numRuns: 2_000 },
  );
});
