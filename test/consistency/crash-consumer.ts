import { setTimeout as sleep } from 'node:timers/promises';
import { fromJsonString } from '@bufbuild/protobuf';
import { DeliverFileEventRequestSchema, FileChange } from '../../gen/files/v1/file_events_service_pb.ts';
import { startHttpConsumer } from '../events/http-consumer.ts';

type Change = Exclude<keyof typeof FileChange, 'UNSPECIFIED'>;

const CHANGES = new Map<number, Change>([
  [FileChange.READY, 'READY'],
  [FileChange.DELETED, 'DELETED'],
  [FileChange.LOST, 'LOST'],
  [FileChange.EXPIRED, 'EXPIRED'],
]);

/** An event that the consumer has acknowledged. */
export interface TakenEvent {
  user: string;
  key: string;
  /** The MD5 of the file; empty for a multipart upload. */
  md5: string;
  change: Change | undefined;
  revision: number;
  /** Whether the bucket held the object when the event came. */
  isHeld: boolean;
}

/** What a client or the test did to a file. An event is true only after the deed that it tells of. */
export type Deed = 'uploaded' | 'deleted' | 'removed from the bucket';

/** A consumer of events that outlives all killed processes. It keeps every event that it takes. */
export interface Consumer extends AsyncDisposable {
  url: URL;
  taken: TakenEvent[];
  /** How many events came again after they were taken. */
  readonly duplicates: number;
  /** How many deliveries were refused. */
  readonly refused: number;
  /** The share of the deliveries that are refused, from 0 to 1. */
  refuses: number;
  /** The users whose next event is refused. */
  refusesOnce: Set<string>;
  /** The longest pause before an answer. */
  slownessMs: number;
  /** Forgets all events. */
  clear(): void;
}

/** @param holds whether the bucket holds an object under the key */
export async function openConsumer(holds: (s3Key: string) => Promise<boolean>): Promise<Consumer> {
  const taken: TakenEvent[] = [];
  let duplicates = 0;
  let refused = 0;
  const server = await startHttpConsumer(async (_, response) => {
    const body = server.received.pop()?.body.toString() ?? '';
    const { eventId, userId, change, file, revision } = fromJsonString(DeliverFileEventRequestSchema, body);
    if (consumer.refusesOnce.delete(userId) || Math.random() < consumer.refuses) {
      refused++;
      response.writeHead(503).end();
      return;
    }
    const key = file?.s3Key ?? '';
    const isHeld = await holds(key);
    await sleep(Math.random() * consumer.slownessMs);
    const event = {
      user: userId,
      key,
      md5: file?.md5 ?? '',
      change: CHANGES.get(change),
      revision: Number(revision),
      isHeld,
    };
    if (eventId !== `${key}:${revision}`) throw new Error(`the id of an event of ${key} is ${eventId}`);
    if (taken.some((other) => isSame(other, event))) duplicates++;
    taken.push(event);
    response.end();
  });
  const consumer: Consumer = {
    url: server.url,
    taken,
    get duplicates() {
      return duplicates;
    },
    get refused() {
      return refused;
    },
    refuses: 0,
    refusesOnce: new Set(),
    slownessMs: 0,
    clear: () => void taken.splice(0),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return consumer;
}

/** Whether two events have the same id. */
const isSame = (one: TakenEvent, other: TakenEvent) =>
  one.key === other.key && one.revision === other.revision;

/** Returns what is wrong with an event: it is not true, or another event has its revision. */
export function wrongOf(event: TakenEvent, all: readonly TakenEvent[], deeds: ReadonlySet<Deed>): string[] {
  const { key, change, revision } = event;
  const wrong: string[] = [];
  if (!isTrue(event, deeds))
    wrong.push(`not true: ${change} ${key}, after ${[...deeds].join(', ') || 'nothing'}`);
  if (all.some((other) => isSame(other, event) && (other.change !== change || other.md5 !== event.md5)))
    wrong.push(`two events of ${key} have the revision ${revision}`);
  return wrong;
}

function isTrue({ change, isHeld }: TakenEvent, deeds: ReadonlySet<Deed>): boolean {
  switch (change) {
    case 'READY':
      return (
        deeds.has('uploaded') && (isHeld || deeds.has('deleted') || deeds.has('removed from the bucket'))
      );
    case 'DELETED':
      return deeds.has('deleted');
    case 'LOST':
    case 'EXPIRED':
      return deeds.has('removed from the bucket');
    default:
      return false;
  }
}

/** The event with the largest revision. */
export function newestOf(events: readonly TakenEvent[]): TakenEvent | undefined {
  return events.toSorted((a, b) => b.revision - a.revision)[0];
}

/**
 * Returns the events of a key that show that its revisions do not grow. A key gets other content only after a delete. So
 * in the order of the revisions, the last event of each content is DELETED.
 */
export function wrongOrder(eventsOfKey: readonly TakenEvent[]): string[] {
  const inOrder = eventsOfKey.toSorted((a, b) => a.revision - b.revision);
  return inOrder.flatMap(({ key, md5, change }, i) => {
    const before = inOrder[i - 1];
    const isNext = before === undefined || before.md5 === md5 || before.change === 'DELETED';
    return isNext ? [] : [`${change} of ${key} comes after ${before.change} of other content`];
  });
}
