import { cut } from './crash-history.ts';
import {
  type Act,
  asks,
  changed,
  deleted,
  due,
  type Given,
  operation,
  sweep,
  told,
} from './crash-operation.ts';
import type { Ask, CutContent } from './crash-ports.ts';

/** Three parts; the last part is shorter. */
export const film: CutContent = cut('film.mp4', 'the film');
const begin: Ask = { method: 'begin', content: film };
const presign = (s3Key: string): Ask => ({ method: 'presign', s3Key, partNumbers: [2, 3] });

/** The key that a new upload will get. */
const absent: Given = async (history) => `${history.user}_film.mp4`;

/** An unfinished upload with some of its parts. */
const withParts =
  (...partNumbers: number[]): Given =>
  async (history) => {
    const key = await history.begin(film);
    await history.putParts(key, partNumbers);
    return key;
  };
const underWay = withParts(1);
const uploaded = withParts(1, 2, 3);

/** The call that began the upload was killed before it could commit the id. */
const nameless = changed(underWay, 'upload_id = null');

/** S3 has lost the upload. */
const lost: Given = async (history) => {
  const key = await underWay(history);
  await history.abortInBucket(key);
  return key;
};

/** S3 has assembled the object, and the response was lost. */
const assembled: Given = async (history) => {
  const key = await uploaded(history);
  await history.completeInBucket(key);
  return key;
};

const completed: Given = async (history) => {
  const key = await uploaded(history);
  await history.ask({ method: 'complete', s3Key: key });
  return key;
};

/** A READY file with another upload under its key. */
const completedAndBegun: Given = async (history) => {
  const key = await completed(history);
  await history.beginInBucket(key);
  return key;
};

/** A tombstone whose parts were removed. */
const removed: Given = async (history) => {
  const key = await underWay(history);
  await history.ask({ method: 'delete', s3Key: key });
  return key;
};

/** The state that `given` creates, after the URLs and the lifetime of its upload have expired. */
const outlived =
  (given: Given): Given =>
  async (history) => {
    const key = await given(history);
    await history.outlive();
    return key;
  };

const outlivedParts = changed(outlived(uploaded), due);
const begunAgain = changed(completedAndBegun, due);
const deletedWithParts = changed(outlived(deleted(underWay)), due);
const deletedParts = changed(outlived(told(removed)), due);

const ANY: Act[] = ['finish', 'begin', 'delete', 'sweep'];
const ANY_OR_PART: Act[] = [...ANY, 'make', 'part'];
const ANY_OR_COMPLETE: Act[] = [...ANY, 'complete'];
const NO_SWEEP: Act[] = ['finish', 'begin', 'delete'];
const ON_READY: Act[] = ['begin', 'delete', 'sweep'];
const LATE: Act[] = ['begin', 'sweep'];

const BEGIN = 'reserve HEAD find_upload';
const FIND = 'set_upload_id find_upload parts';
const RENEW = 'find renew_upload parts';
const VERIFY = 'HEAD mark_ready';
const ABORT = 'DELETE uploads abort';

/** The operations of multipart uploads. */
export const OPERATIONS_MULTIPART = [
  operation('begin, new', absent, begin, 'reserve begin set_upload_id', ANY),
  operation('begin, pending', underWay, begin, `${BEGIN} parts update_intent`, ANY_OR_PART),
  operation('begin, without id', nameless, begin, `${BEGIN} uploads ${FIND} update_intent`, [
    ...NO_SWEEP,
    'part',
  ]),
  operation('begin, lost', lost, begin, `${BEGIN} parts HEAD uploads begin ${FIND} update_intent`, ANY),
  operation('begin, assembled', assembled, begin, `reserve ${VERIFY}`, ANY),
  operation('URLs of parts', underWay, presign, 'renew_upload', ['finish', 'delete', 'sweep']),
  operation('URLs, without id', nameless, presign, `renew_upload find_upload uploads ${FIND}`, NO_SWEEP),
  operation('complete', uploaded, asks('complete'), `${RENEW} complete ${VERIFY}`, ANY_OR_PART),
  operation('complete, late', outlived(uploaded), asks('complete'), `${RENEW} complete ${VERIFY}`, LATE),
  operation('complete, assembled', assembled, asks('complete'), `${RENEW} ${VERIFY}`, ANY),
  operation('delete, parts', underWay, asks('delete'), `mark_deleted ${ABORT}`, ANY),
  operation('sweep, parts', changed(underWay, due), sweep, 'lease_due HEAD reschedule', [...ANY, 'part']),
  operation(
    'sweep, outlived',
    outlivedParts,
    sweep,
    `lease_due HEAD expire_upload ${ABORT}`,
    ANY_OR_COMPLETE,
  ),
  operation('sweep, tombstone and parts', deletedWithParts, sweep, `lease_due ${ABORT} reschedule`, LATE),
  operation('sweep, tombstone, no parts', deletedParts, sweep, 'lease_due DELETE uploads purge', ['sweep']),
  operation('sweep, READY, begun again', begunAgain, sweep, 'lease_due uploads abort reschedule', ON_READY),
  operation('sweep, READY, parts', changed(completed, due), sweep, 'lease_due uploads clear_sweep', ON_READY),
];
