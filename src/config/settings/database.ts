import { flag, integer, oneOf, url } from '../setting.ts';

/** Postgres, and the connections to it. */
export const DATABASE = {
  url: url('DATABASE_URL', {
    protocols: ['postgres:', 'postgresql:'],
    desc: 'The URL of Postgres. If DATABASE_URL and S3_BUCKET are unset, the service starts embedded servers for development.',
  }),
  poolSize: integer('DATABASE_POOL_SIZE', {
    min: 1,
    max: 1_000,
    default: 10,
    desc: 'How many connections to Postgres this instance uses for calls. Readiness checks use one more.',
  }),
  pooler: oneOf('DATABASE_POOLER', {
    choices: ['none', 'transaction'],
    default: 'none',
    desc: 'Set `transaction` if a pooler in transaction mode (pgbouncer) is between the service and Postgres: the service then keeps no state on a connection.',
  }),
  migrateOnStart: flag('MIGRATE_ON_START', {
    desc: 'Whether to bring the schema up to date at the start. Default: `true` with the embedded Postgres, else `false`.',
  }),
};
