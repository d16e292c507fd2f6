import { integer } from '../setting.ts';

/** The largest value of the column `smallint` that numbers a user's pending uploads. */
const PENDING_MAX = 32_767;

/**
 * How much users and this instance may have at once. The two limits of a user count uploads whose URLs have not
 * expired: one for uploads with a single PUT, one for multipart uploads.
 */
export const LIMITS = {
  pendingMax: integer('MAX_PENDING_UPLOADS', {
    min: 1,
    max: PENDING_MAX,
    default: 1_000,
    desc: 'How many uploads with a single PUT one user may have pending. A cancelled upload counts until its URL has expired.',
  }),
  pendingMultipartMax: integer('MAX_PENDING_MULTIPART_UPLOADS', {
    min: 1,
    max: PENDING_MAX,
    default: 100,
    desc: 'How many multipart uploads one user may have pending. Each keeps up to 160 kB in Postgres until it is completed, cancelled or expired.',
  }),
  concurrentCallsMax: integer('MAX_CONCURRENT_CALLS', {
    min: 2,
    max: 100_000,
    default: 512,
    desc: 'How many calls this instance runs concurrently. One user may use as many as are still free, so a single user gets half of them. Further calls are refused at once with OVERLOADED.',
  }),
};
