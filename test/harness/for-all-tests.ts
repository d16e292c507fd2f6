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
  const resource = (): Resource => {
    if (opened === undefined) throw new Error('the resource is used before the tests run');
    return opened;
  };
  return new Proxy({} as Resource, {
    get: (_, name) => Reflect.get(resource(), name),
    set: (_, name, value) => Reflect.set(resource(), name, value),
    // Otherwise `{ ...resource }` would be an empty object.
    ownKeys: () => {
      throw new Error('the stand-in cannot be copied');
    },
  });
}
