import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openDescriptor } from '../../src/client/node/descriptor.ts';

it('a second close does not close another file that has got the same number', async () => {
  const first = await openDescriptor(import.meta.filename, constants.O_RDONLY);
  const { fd } = first;
  first.close();
  // The system gives the lowest free number. Other code of this process may take that number first.
  const opened: number[] = [];
  do opened.push(openSync('/dev/null', 'r'));
  while (!opened.includes(fd) && opened.length < 100);
  try {
    expect(opened).toContain(fd);
    first.close();
    expect(fstatSync(fd).isCharacterDevice()).toBe(true);
  } finally {
    for (const number of opened) closeSync(number);
  }
});

it('a path that cannot be opened is an error of Node', async () => {
  await expect(openDescriptor('/no/such/file', constants.O_RDONLY)).rejects.toMatchObject({ code: 'ENOENT' });
});
