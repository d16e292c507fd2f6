import { integer } from '../setting.ts';

/** The column `pending_slot`, which numbers a user's pending uploads, is a `smallint`. This is its largest value. */
const PENDING_MAX = 32_767;

/**
 * Limits how many uploads one user may have pending (created, but not yet READY), and how many calls this instance runs
 * at once. A user has two limits: one for uploads with a single PUT, and one for multipart uploads. Pending uploads
 * count, and so do cancelled uploads whose URLs have not expired.
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
    desc: 'How many calls this instance runs concurrently. A call with a long list counts as several. One user may use as many as are still free, so a single user gets half of them. Further calls are refused at once with OVERLOADED.',
  }),
};
