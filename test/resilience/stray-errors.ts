/** Given to the service with `--import`: an error that nobody waits for, at each signal, or while it starts. */
import { request } from 'node:http';

const password = 'postgres://files:swordfish@db/files';

if (process.env.STRAY_AT_START) setTimeout(() => fail('at the start'), 50);

process.on('SIGUSR2', () => {
  setImmediate(() => fail('thrown'));
  void Promise.reject(new Error(`rejected by ${password}`));
  // An event named error that nobody listens to: here a connection that is refused.
  request({ port: 1, host: '127.0.0.1' }).end();
});

function fail(how: string): never {
  throw new Error(`${how} by ${password}`);
}
