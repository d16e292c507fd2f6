import { databaseUrlProblem, SSL_MODES } from '../database-url.ts';
import { flag, integer, oneOf, text } from '../setting.ts';

/** The settings of Postgres and of the connections to Postgres. */
export const DATABASE = {
  url: text('DATABASE_URL', {
    problem: databaseUrlProblem,
    desc: 'The URL of Postgres, with one or more hosts. If DATABASE_URL and S3_BUCKET are unset, the service starts embedded servers for development.',
  }),
  passwordFile: text('DATABASE_PASSWORD_FILE', {
    desc: 'The path of a file with the password. It is read for each new connection, so the password may change.',
  }),
  sslMode: oneOf('PGSSLMODE', { choices: SSL_MODES, desc: 'Used if DATABASE_URL has no `sslmode`.' }),
  sslRootCert: text('PGSSLROOTCERT', { desc: 'Used if DATABASE_URL has no `sslrootcert`.' }),
  poolSize: integer('DATABASE_POOL_SIZE', {
    min: 1,
    max: 1_000,
    default: 10,
    desc: 'How many connections to Postgres this instance uses for calls. Readiness checks use one more, and a second one while writes fail.',
  }),
  pooler: oneOf('DATABASE_POOLER', {
    choices: ['none', 'session', 'transaction'],
    default: 'none',
    desc: 'The mode of a pooler (pgbouncer) between the service and Postgres. With `transaction`, the service keeps no state on a connection.',
  }),
  migrateOnStart: flag('MIGRATE_ON_START', {
    desc: 'Whether to bring the schema up to date at the start. Default: `true` with the embedded Postgres, else `false`.',
  }),
};
