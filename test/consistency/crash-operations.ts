import { content } from './crash-history.ts';
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
import type { Ask } from './crash-ports.ts';

const first = content('report.pdf', 'the first content');
const second = content('report.pdf', 'the second content, of the same name');
const third = content('another.txt', 'the third content');

export const create: Ask = { method: 'create', content: first };
const createMany: Ask = { method: 'create many', contents: [first, third] };
const list: Ask = { method: 'list' };
const getMany = (s3Key: string): Ask => ({
  method: 'get many',
  s3Keys: [s3Key, s3Key.replace(first.filename, third.filename)],
});
const ALL: Act[] = ['put', 'delete', 'sweep'];
const NO_PUT: Act[] = ['delete', 'sweep'];
const NO_DELETE: Act[] = ['put', 'sweep'];

/** The name of the statement of a first page. */
const LIST = 'list_first_page';
const FIND_MANY = 'find_contents';
const CREATE_MANY = 'find_keys create_many';

export const purgeable = `url_expire_at = now() - interval '25 hours'`;
const notFresh = `verified_at = now() - interval '1 day'`;

const pending: Given = (history) => history.announce(first);

const uploaded: Given = (history) => history.announceAndPut(first);

const twoUploaded: Given = async (history) => {
  await history.announceAndPut(third);
  return history.announceAndPut(first);
};

/** Another file has the key that this name would get. */
const keyTaken: Given = (history) => history.announceAndPut(second);

export const ready: Given = async (history) => {
  const key = await uploaded(history);
  await history.ask(list);
  return key;
};

/** A READY file whose object was removed without the service. */
export const gone: Given = async (history) => {
  const key = await ready(history);
  await history.removeObject(key);
  await history.change(notFresh);
  return key;
};

export const tombstone = deleted(ready);
const expired = changed(pending, purgeable, due);
export const oldTombstone = changed(tombstone, purgeable, due);
const oldTombstoneTold = changed(told(tombstone), purgeable, due);

export const OPERATIONS = [
  operation('create, new', undefined, create, 'reserve', ['sweep']),
  operation('create, the key is taken', keyTaken, create, 'reserve explain_conflict reserve', ALL),
  operation('create, with a tombstone', tombstone, create, 'reserve explain_conflict reserve', NO_DELETE),
  operation('create, pending', pending, create, 'reserve HEAD update_intent', [...ALL, 'create']),
  operation('create, purgeable', changed(pending, purgeable), create, 'reserve HEAD update_intent', NO_PUT),
  operation('create, uploaded', uploaded, create, 'reserve HEAD mark_ready', ALL),
  operation('create, READY', ready, create, 'reserve', ALL),
  operation('create, READY and not fresh', changed(ready, notFresh), create, 'reserve HEAD mark_ready', ALL),
  operation('create, lost', gone, create, 'reserve HEAD mark_lost reserve HEAD update_intent', ALL),
  operation('list, two uploaded', twoUploaded, list, `${LIST} HEAD HEAD mark_ready_many ${LIST}`, ALL),
  operation('list, one never uploaded', pending, list, `${LIST} HEAD`, ALL),
  operation('get, uploaded', uploaded, asks('get'), 'find HEAD mark_ready', ALL),
  operation('get, lost', gone, asks('get'), 'find HEAD mark_lost', ALL),
  operation('get many, two uploaded', twoUploaded, getMany, 'find_many HEAD HEAD mark_ready_many', ALL),
  operation('download, uploaded', uploaded, asks('download'), 'find HEAD mark_ready', ALL),
  operation('delete, READY', ready, asks('delete'), 'mark_deleted DELETE', ALL),
  operation('delete, purgeable', changed(ready, purgeable), asks('delete'), 'mark_deleted DELETE', NO_PUT),
  operation('delete, pending', pending, asks('delete'), 'mark_deleted DELETE', ALL),
  operation('sweep, uploaded', changed(uploaded, due), sweep, 'lease_due HEAD mark_ready', ALL),
  operation('sweep, late', changed(uploaded, purgeable, due), sweep, 'lease_due HEAD mark_ready', NO_PUT),
  operation('sweep, pending', changed(pending, due), sweep, 'lease_due HEAD reschedule', [...ALL, 'create']),
  operation('sweep, expired', expired, sweep, 'lease_due HEAD purge', [...NO_PUT, 'create']),
  operation('sweep, tombstone', changed(tombstone, due), sweep, 'lease_due DELETE reschedule', NO_DELETE),
  operation('sweep, old tombstone', oldTombstoneTold, sweep, 'lease_due DELETE purge', ['sweep', 'deliver']),
  operation('create many, new', undefined, createMany, `${FIND_MANY} ${CREATE_MANY}`, ['sweep']),
  operation(
    'create many, a key is taken',
    keyTaken,
    createMany,
    `${FIND_MANY} ${CREATE_MANY} reserve explain_conflict reserve`,
    ALL,
  ),
  operation('create many, pending', pending, createMany, `${FIND_MANY} renew_many ${CREATE_MANY} HEAD`, ALL),
  operation(
    'create many, uploaded',
    twoUploaded,
    createMany,
    `${FIND_MANY} renew_many HEAD HEAD mark_ready mark_ready`,
    ALL,
  ),
];
