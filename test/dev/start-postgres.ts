// A process of its own for tests that kill it: locks the directory, starts Postgres there, tells its address, stays.
import { lockDataDirectory } from '../../src/dev/data-directory/data-directory-lock.ts';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: start-postgres.ts <directory>');
process.on('SIGINT', () => {}); // as a service that is still draining
lockDataDirectory(directory);
const { url, pid } = await startPostgres({ directory });
const signalHandlers = { SIGTERM: process.listenerCount('SIGTERM'), SIGHUP: process.listenerCount('SIGHUP') };
process.stdout.write(`${JSON.stringify({ url, pid, signalHandlers })}\n`);
setInterval(() => {}, 60_000);
