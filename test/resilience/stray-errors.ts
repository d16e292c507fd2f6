/**
 * Loaded into the service with `--import`. Throws errors that no code catches: after SIGUSR2, or during the
 * start.
 */
import { request } from 'node:http';

const password = 'postgres://files:swordfish@db/files';

if (process.env.STRAY_AT_START) setTimeout(() => fail('at the start'), 50);

process.on('SIGUSR2', () => {
  setImmediate(() => fail('thrown'));
  void Promise.reject(new Error(`rejected by ${password}`));
  // A refused connection emits an `error` event that has no listener.
  request({ port: 1, host: '127.0.0.1' }).end();
});

function fail(how: string): never {
  throw new Error(`${how} by ${password}`);
}
