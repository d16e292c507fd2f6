import { afterAll, beforeAll } from 'vitest';

/**
 * Opens a resource before the tests of the calling file or `describe`, and closes it after them. Resources are
 * closed in the reverse order of these calls, so a resource may use those before it.
 *
 * @returns a stand-in, which can be used as soon as the tests run
 */
export function forAllTests<Resource extends AsyncDisposable>(
  open: () => Promise<Resource>,
  timeoutMs?: number,
): Resource {
  let opened: Resource | undefined;
  beforeAll(async () => {
    opened = await open();
  }, timeoutMs);
  afterAll(() => opened?.[Symbol.asyncDispose]());
  return new Proxy({} as Resource, {
    get(_, name) {
      if (opened === undefined) throw new Error(`${String(name)} is used before the tests run`);
      return Reflect.get(opened, name, opened);
    },
  });
}
