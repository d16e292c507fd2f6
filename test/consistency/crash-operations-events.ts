import { type Act, changed, dispatch, due, type Given, operation, sweep } from './crash-operation.ts';
import { gone, oldTombstone, purgeable, ready, tombstone } from './crash-operations.ts';

/** A file whose loss a call has noticed. */
const lost: Given = async (history) => {
  const key = await gone(history);
  await history.ask({ method: 'get', s3Key: key });
  return key;
};

/** A READY file whose event is refused once. */
const refused: Given = async (history) => {
  const key = await ready(history);
  history.refuseOnce();
  return key;
};

const lostLongAgo = changed(lost, purgeable, due);

const NO_DELETE: Act[] = ['deliver', 'sweep'];
const ANY: Act[] = [...NO_DELETE, 'delete'];

const DELIVER = 'oldest_event lease_events deliver';
const DISPATCH = `${DELIVER} acknowledge_events`;
const NOT_PURGED = 'lease_due DELETE purge reschedule';

/** The operations that exist with events only, or that have other steps without events. */
export const OPERATIONS_EVENTS = [
  operation('dispatch, READY', ready, dispatch, DISPATCH, ANY),
  operation('dispatch, LOST', lost, dispatch, DISPATCH, ANY),
  operation('dispatch, DELETED', tombstone, dispatch, DISPATCH, NO_DELETE),
  operation('dispatch, refused', refused, dispatch, `${DELIVER} postpone_events`, ANY),
  operation('sweep, not announced', oldTombstone, sweep, NOT_PURGED, NO_DELETE),
  operation('sweep, lost', lostLongAgo, sweep, 'lease_due HEAD purge expire_upload', NO_DELETE),
];
