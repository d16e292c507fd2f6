import { expect, it } from 'vitest';
import type { FoundSource } from '../../src/client/upload/platform.ts';

/** A variable, because the type check of the tests knows the types of Node and not those of a browser. */
const SOURCE: string = '../../src/client/browser/source.ts';

interface Module {
  findSource(source: unknown): Promise<FoundSource<Blob>>;
}

it('a browser copies bytes when their upload begins, and not when they are found', async () => {
  const { findSource } = (await import(SOURCE)) as Module;
  const bytes = new Uint8Array([1]);
  const found = await findSource(bytes);
  bytes[0] = 2;
  const source = await found.open();
  bytes[0] = 3;
  const body = await source.body({ start: 0, end: 1 }).arrayBuffer();
  expect([found.sizeBytes, ...new Uint8Array(body)]).toEqual([1, 2]);
});

it.each([[{}], [null], ['a path']])('a browser refuses %j as a source', async (source) => {
  const { findSource } = (await import(SOURCE)) as Module;
  const message = 'a source is a File, another Blob or a Uint8Array';
  await expect(findSource(source)).rejects.toMatchObject({ reason: 'SOURCE_UNUSABLE', message });
});
