import type { EventQueue, EventRef } from '../../files/ports/event-queue.ts';
import type { S3Key } from '../../files/rules/s3-key.ts';
import type { Database } from '../connection/database.ts';
import { toFileEvent } from '../event-row.ts';
import * as batches from '../statements/events/batches.ts';
import * as statements from '../statements/events/deliveries.ts';
import { BEGINNING, createLease } from './leases.ts';

/** The queue of the dispatcher (the background task that delivers events). Its rows are those of the table `files`. */
export function createEventQueue(database: Database): EventQueue {
  const lease = createLease(database, statements.leaseEvents);
  return {
    async leaseEvents(work, limit, leaseSeconds, dueFrom = BEGINNING) {
      return (await lease(work, { limit, leaseSeconds, dueFrom })).map(toFileEvent);
    },

    async acknowledgeEvents(work, events) {
      if (events.length === 0) return [];
      return without(events, await database.run(work, statements.acknowledgeEvents, columnsOf(events)));
    },

    async postponeEvents(work, events) {
      if (events.length === 0) return [];
      const params = {
        ...columnsOf(events),
        pauses: events.map(({ pauseSeconds }) => pauseSeconds),
        attempts: events.map(({ isCounted }) => (isCounted ? 1 : 0)),
      };
      return without(events, await database.run(work, statements.postponeEvents, params));
    },

    async findOldestEvent(work, dueFrom = BEGINNING) {
      const [row] = await database.run(work, statements.oldestEvent, { dueFrom });
      return { ageSeconds: row?.age_seconds ?? 0, dueFrom: row?.due_from ?? dueFrom };
    },

    async replayEvents(work, limit, { userId, since = BEGINNING }, after) {
      const params = { limit, since, afterKey: after?.s3Key ?? '' };
      const [row] =
        userId === undefined
          ? await database.run(work, batches.replayEvents, { ...params, afterUser: after?.userId ?? '' })
          : await database.run(work, batches.replayEventsOfUser, { ...params, userId });
      return { replayed: row?.replayed ?? 0, next: row && nextOf(row) };
    },

    async dropEvents(work, limit) {
      const [row] = await database.run(work, batches.dropEvents, { limit });
      return { dropped: row?.dropped ?? 0, isLeft: row?.is_left ?? false };
    },
  };
}

function columnsOf(events: readonly EventRef[]) {
  return {
    userIds: events.map(({ userId }) => userId),
    s3Keys: events.map(({ s3Key }) => s3Key),
    revisions: events.map(({ revision }) => revision),
  };
}

function without<Event extends EventRef>(
  events: readonly Event[],
  changed: readonly statements.ChangedEvent[],
): Event[] {
  const revisions = new Map(changed.map(({ s3_key, revision }) => [s3_key, Number(revision)]));
  return events.filter(({ s3Key, revision }) => revisions.get(s3Key) !== revision);
}

/** The replay ends with the statement that examines no row. */
function nextOf({ last_user: userId, last_key: s3Key }: batches.Replayed) {
  return userId === null || s3Key === null ? undefined : { userId, s3Key: s3Key as S3Key };
}
