import { consequence, type Row, yesIf } from '../../row.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { isKeyOfDoctor } from '../traces.ts';
import { inXml, textsIn } from '../xml.ts';

/**
 * The sweeper (the background task that finishes interrupted work, `src/files/maintenance/sweeper.ts`) aborts a
 * multipart upload when LONGEST_UPLOAD_SECONDS have passed since its expiry. The default of that setting is a day.
 */
const SWEPT_WITHIN_SECONDS = 86_400;

export const age: Row<ProbedBucket> = {
  title: 'no open multipart upload is older than uploads live',
  invariant: 'I6',
  isAdvice: true,
  meaning: 'Another program begins uploads, or the sweeper does not run. The parts cost money.',
  remedy: 'Run `npm run reconcile`, which finds uploads without a row.',
  async probe(bucket) {
    const { steps } = await bucket.abortedUpload();
    if (steps === undefined) return consequence('uploads are not listed');
    const uploads = inXml(steps.open.body, 'Upload');
    const others = uploads.filter((upload) => !isKeyOfDoctor(textsIn(upload, 'Key')[0] ?? ''));
    const begun = others.map((upload) => Date.parse(textsIn(upload, 'Initiated')[0] ?? ''));
    const oldestSeconds = Math.max(0, ...begun.map((ms) => (Date.now() - ms) / 1_000));
    const seen =
      others.length === 0 ? 'none is open' : `${others.length} open, the oldest for ${hours(oldestSeconds)}`;
    return yesIf(oldestSeconds <= bucket.settings.multipartSeconds + SWEPT_WITHIN_SECONDS, seen);
  },
};

const hours = (seconds: number) => `${Math.round(seconds / 3_600)} h`;
