/**
 * A client of the file service as a TypeScript engineer would write it. The tests of the service run it.
 *
 * journey TRANSPORT ADDRESS USER SMALL LARGE EMPTY   uploads the files, lists, downloads and deletes them
 * list TRANSPORT ADDRESS USER                        makes one call that fails, prints its failure
 *
 * The transport is grpc-js, connect-web or grpc-web. The outcome is one line of JSON.
 */
import { connectWeb } from './connect-web.ts';
import { grpcJs } from './grpc-js.ts';
import { grpcWeb } from './grpc-web.ts';
import { journey } from './journey.ts';

const TRANSPORTS = { 'grpc-js': grpcJs, 'connect-web': connectWeb, 'grpc-web': grpcWeb };

const [verb, transport = '', address = '', user = '', ...paths] = process.argv.slice(2);
const connect = TRANSPORTS[transport as keyof typeof TRANSPORTS];
using connection = connect(address, user);
using withoutUser = connect(address, undefined);
const seen =
  verb === 'journey'
    ? await journey(connection, withoutUser, paths)
    : await connection.failureOf(connection.files.listFiles({}));
process.stdout.write(`${JSON.stringify(seen)}\n`);
