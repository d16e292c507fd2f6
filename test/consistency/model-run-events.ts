/** The steps of the consumer of events: its deliveries are compared with the rules (model-events.ts). */
import type { EventRef, FileEvent } from '../../src/files/ports/event-queue.ts';
import type { DueChange } from './model-events.ts';
import { counts, type Run } from './model-run-state.ts';
import type { Step } from './model-steps.ts';

/** A delivery that the consumer has not acknowledged yet. */
interface Held {
  event: EventRef;
  due: DueChange;
}

const POSTPONED_SECONDS = 30;

export function eventSteps({ fixture, model, events, check, equal, shown }: Run) {
  /** The revision and the change of the last delivery, by key. */
  const last = new Map<string, { revision: number; due: DueChange }>();
  let held: Held[] = [];

  /** A dispatcher leases events and delivers them. */
  async function receive(limit: number): Promise<Held[]> {
    const leased = await fixture.leaseEvents(limit);
    return leased.map((event) => ({ event, due: receiveOne(event) }));
  }

  function receiveOne(event: FileEvent): DueChange {
    const { s3Key, change, revision, userId } = event;
    const due = events.due.get(s3Key);
    check(due?.change === change, `${s3Key} was announced as ${change}`, due);
    if (due === undefined) throw new Error('no change is due');
    const file = model.fileOf(userId, s3Key);
    const isGone = change === 'deleted' || change === 'expired';
    check(isGone === (file === undefined), `${change} is not so: ${s3Key}`, file);
    if (file !== undefined) {
      const { state, ...facts } = shown(file);
      equal(`${s3Key} is ${change}`, change, state === 'ready' ? 'ready' : 'lost');
      const seen = { userId, ...event.file };
      if (change === 'ready') equal(`${s3Key} as announced`, pickFields(seen, facts), facts);
    } else equal(`the filename of ${s3Key}, which is ${change}`, event.file.filename, '');
    counts.delivered++;
    if (change === 'expired') counts.expirations++;
    const before = last.get(s3Key);
    if (before?.due.number === due.number) {
      equal(`the revision of the same change of ${s3Key}`, revision, before.revision);
      counts.duplicates++;
    } else if (before !== undefined) {
      check(revision > before.revision, `the revision of ${s3Key} does not grow`, revision, before);
    }
    last.set(s3Key, { revision, due });
    return due;
  }

  async function acknowledge(deliveries: readonly Held[]): Promise<void> {
    await fixture.acknowledgeEvents(deliveries.map(({ event }) => event));
    for (const { event, due } of deliveries) events.acknowledged(event.s3Key, due);
  }

  const names = (deliveries: readonly Held[]) =>
    deliveries.map(({ event, due }) => `${event.s3Key} ${due.change}`).join(', ') || 'nothing';

  return {
    async deliver({ limit, ending }: Step & { do: 'deliver' }): Promise<string> {
      const deliveries = await receive(limit);
      if (ending === 'acknowledge') await acknowledge(deliveries);
      if (ending === 'postpone') {
        await fixture.postponeEvents(
          deliveries.map(({ event }) => ({ ...event, pauseSeconds: POSTPONED_SECONDS })),
        );
      }
      if (ending === 'hold') held.push(...deliveries);
      return `deliver and ${ending}: ${names(deliveries)}`;
    },

    /** Acknowledges events that a dispatcher has delivered some steps ago. */
    async acknowledgeLate(): Promise<string | undefined> {
      if (held.length === 0) return undefined;
      const late = held;
      held = [];
      await acknowledge(late);
      counts.acknowledgedLate += late.length;
      return `acknowledge late: ${names(late)}`;
    },

    async replay(): Promise<string> {
      const replayed = await fixture.replayEvents();
      events.replayed();
      counts.replayed += replayed;
      return `replay: ${replayed}`;
    },

    /** Delivers everything that is due. When no lease is running, nothing may be left. */
    async deliverAll(): Promise<string> {
      const deliveries: Held[] = [];
      for (let some = await receive(100); some.length > 0; some = await receive(100)) {
        await acknowledge(some);
        deliveries.push(...some);
      }
      equal('events that were never announced', [...events.due.entries()], []);
      return `deliver all: ${names(deliveries)}`;
    },
  };
}

function pickFields(from: object, like: object): Record<string, unknown> {
  return Object.fromEntries(Object.keys(like).map((key) => [key, Reflect.get(from, key)]));
}
