import { cannotTell, type Row, yesIf } from '../../row.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

/**
 * S3 refuses a signature if its time differs by more than 15 minutes from the clock of S3. The row reports a difference
 * of one minute already, so that an operator can repair the clock before S3 refuses requests.
 */
const SKEW_MAX_SECONDS = 60;

export const clock: Row<ProbedBucket> = {
  title: 'the clocks of S3 and of this host agree to a minute',
  isAdvice: true,
  meaning:
    'URLs expire earlier or later than their expire_time, and from 15 minutes on S3 refuses all of them.',
  remedy: 'Synchronise both clocks (NTP).',
  async probe(bucket) {
    const { put } = await bucket.sample();
    const skewSeconds = Math.round(Math.abs(Date.parse(put.headers.date ?? '') - Date.now()) / 1_000);
    if (Number.isNaN(skewSeconds)) return cannotTell('S3 sends no Date');
    return yesIf(skewSeconds <= SKEW_MAX_SECONDS, `${skewSeconds} s apart`);
  },
};
