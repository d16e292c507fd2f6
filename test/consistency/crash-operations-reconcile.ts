import { content } from './crash-history.ts';
import { type Act, changed, type Given, operation } from './crash-operation.ts';
import { gone, ready } from './crash-operations.ts';
import type { Ask } from './crash-ports.ts';

const repair: Ask = { method: 'reconcile', action: 'repair' };
const adopt: Ask = { method: 'reconcile', action: 'adopt' };

const forgotten = content('forgotten.txt', 'an object without a row');

/** An object without a row, beside a READY file. The row is newer, so the table has not lost its last rows. */
const orphan: Given = async (history) => {
  await history.putWithoutRow(forgotten);
  return changed(ready, `last_modified = now() + interval '1 minute'`)(history);
};

/** The object of a file whose row was lost. Its upload was acknowledged before that. */
const rowLost: Given = async (history) => {
  const key = await history.putWithoutRow(forgotten);
  history.made(key);
  return key;
};

/** A multipart upload that no row names. */
const stray: Given = async (history) => {
  const key = `${history.user}_film.mp4`;
  await history.beginInBucket(key);
  return key;
};

const ANY: Act[] = ['delete', 'sweep', 'deliver'];

const FOUND = 'has_row key_of_content';

/**
 * `npm run reconcile`. What a killed run has not reached is left for the next run. A PUT to the key of an orphan is not
 * tried: `--repair` removes only objects that are older than the lifetime of a URL and the longest PUT.
 */
export const OPERATIONS_RECONCILE = [
  operation('reconcile --repair, orphan', orphan, repair, `${FOUND} has_row DELETE`, ANY),
  operation('reconcile --repair, no object', gone, repair, 'find HEAD find HEAD mark_lost', [...ANY, 'put']),
  operation('reconcile --repair, stray upload', stray, repair, 'owns_uploads owns_uploads abort', [
    'begin',
    'finish',
    'sweep',
  ]),
  operation('reconcile --adopt, no row', rowLost, adopt, `${FOUND} has_row HEAD adopt`, ANY),
];
