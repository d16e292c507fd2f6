// A process that tests kill: it locks the directory, starts Postgres there, prints the address, and keeps
// running.
import { lockDataDirectory } from '../../src/dev/data-directory/data-directory-lock.ts';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: start-postgres.ts <directory>');
process.on('SIGINT', () => {}); // behaves as a service that is still draining
lockDataDirectory(directory);
const { url, pid } = await startPostgres({ directory });
const signalHandlers = { SIGTERM: process.listenerCount('SIGTERM'), SIGHUP: process.listenerCount('SIGHUP') };
process.stdout.write(`${JSON.stringify({ url, pid, signalHandlers })}\n`);
setInterval(() => {}, 60_000);
