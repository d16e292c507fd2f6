/**
 * `src/config/settings` has one file per subject, with a table of the settings of that subject and the rules
 * between these settings. A new setting needs only an entry in a table, and a line in README.md: `Config` then
 * has the value of the setting under the key of the entry. Code that uses a setting does not belong here; it
 * belongs to the folder that does the work.
 */
import { integer, text } from '../setting.ts';

const PORT_MAX = 65_535;

/** The addresses on which the service listens. */
export const LISTEN = {
  host: text('HOST', { default: '127.0.0.1', desc: 'The address to listen on.' }),
  grpcPort: integer('GRPC_PORT', {
    min: 0,
    max: PORT_MAX,
    default: 50_051,
    desc: 'The port of gRPC, with reflection and health. 0: any free port.',
  }),
  httpPort: integer('HTTP_PORT', {
    min: 0,
    max: PORT_MAX,
    default: 8_080,
    desc: 'The port of Connect, gRPC-Web, `/livez`, `/readyz` and `/metrics`. 0: any free port.',
  }),
};
