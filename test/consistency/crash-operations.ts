import { content, type Fixture } from './crash-fixture.ts';
import type { Ask } from './crash-ports.ts';

/**
 * An action of another actor in a gap: a PUT of a client; a client that creates the upload again and sends it
 * after the process has been killed; a delete by an instance that is killed after its commit; a sweeper.
 */
export type Act =
  | 'put'
  | 'create'
  | 'delete'
  | 'sweep'
  /**
   * For multipart uploads: a part is uploaded; another client begins the upload again, completes it, or does
   * everything.
   */
  | 'part'
  | 'begin'
  | 'complete'
  | 'finish'
  /** The upload is completed by an instance that is killed after S3 has assembled the object. */
  | 'make';

export interface Operation {
  name: string;
  /**
   * The steps of the undisturbed operation. The test fails if the operation takes other steps, so no gap is
   * missed.
   */
  steps: string[];
  /** Creates the state before the operation. `key` is the key on which others act in the gaps. */
  prepare(fixture: Fixture): Promise<{ ask: Ask; key?: string }>;
  /** The actions to try. Without a valid URL there is no PUT. */
  acts: Act[];
  /** The object was removed from the bucket without the service. */
  objectIsGone?: true;
}

const first = content('report.pdf', 'the first content');
const second = content('report.pdf', 'the second content, of the same name');
const third = content('another.txt', 'the third content');

export const create: Ask = { method: 'create', content: first };
const sweep: Ask = { method: 'sweep' };
const ALL: Act[] = ['put', 'delete', 'sweep'];

const purgeable = `url_expire_at = now() - interval '25 hours'`;
const notFresh = `verified_at = now() - interval '1 day'`;
const due = `due_at = now()`;

async function ready(fixture: Fixture): Promise<string> {
  const key = await fixture.announceAndPut(first);
  await fixture.ask({ method: 'list' });
  return key;
}

export const OPERATIONS: Operation[] = [
  {
    name: 'create, new',
    steps: ['reserve'],
    acts: ['sweep'],
    prepare: async () => ({ ask: create }),
  },
  {
    name: 'create, the key is taken',
    steps: ['reserve', 'explain_conflict', 'reserve'],
    acts: ALL,
    prepare: async (fixture) => ({ key: await fixture.announceAndPut(second), ask: create }),
  },
  {
    name: 'create, the key has a tombstone',
    steps: ['reserve', 'explain_conflict', 'reserve'],
    acts: ['put', 'sweep'],
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.deleteAndDie(key);
      return { key, ask: create };
    },
  },
  {
    name: 'create, pending',
    steps: ['reserve', 'HEAD', 'update_intent'],
    acts: [...ALL, 'create'],
    prepare: async (fixture) => ({ key: await fixture.announce(first), ask: create }),
  },
  {
    name: 'create, pending and purgeable',
    steps: ['reserve', 'HEAD', 'update_intent'],
    acts: ['delete', 'sweep'],
    async prepare(fixture) {
      const key = await fixture.announce(first);
      await fixture.change(purgeable);
      return { key, ask: create };
    },
  },
  {
    name: 'create, uploaded',
    steps: ['reserve', 'HEAD', 'mark_ready'],
    acts: ALL,
    prepare: async (fixture) => ({ key: await fixture.announceAndPut(first), ask: create }),
  },
  {
    name: 'create, READY',
    steps: ['reserve'],
    acts: ALL,
    prepare: async (fixture) => ({ key: await ready(fixture), ask: create }),
  },
  {
    name: 'create, READY and not fresh',
    steps: ['reserve', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.change(notFresh);
      return { key, ask: create };
    },
  },
  {
    name: 'create, the object is missing',
    objectIsGone: true,
    steps: ['reserve', 'HEAD', 'mark_lost', 'reserve', 'HEAD', 'update_intent'],
    acts: ALL,
    async prepare(fixture) {
      const key = await gone(fixture);
      return { key, ask: create };
    },
  },
  {
    name: 'list, two uploaded',
    steps: ['list_first_page', 'HEAD', 'HEAD', 'mark_ready', 'mark_ready', 'list_first_page'],
    acts: ALL,
    async prepare(fixture) {
      await fixture.announceAndPut(third);
      return { key: await fixture.announceAndPut(first), ask: { method: 'list' } };
    },
  },
  {
    name: 'list, one never uploaded',
    steps: ['list_first_page', 'HEAD'],
    acts: ALL,
    prepare: async (fixture) => ({ key: await fixture.announce(first), ask: { method: 'list' } }),
  },
  {
    name: 'get, uploaded',
    steps: ['find', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(fixture) {
      const key = await fixture.announceAndPut(first);
      return { key, ask: { method: 'get', s3Key: key } };
    },
  },
  {
    name: 'get, the object is missing',
    objectIsGone: true,
    steps: ['find', 'HEAD', 'mark_lost'],
    acts: ALL,
    async prepare(fixture) {
      const key = await gone(fixture);
      return { key, ask: { method: 'get', s3Key: key } };
    },
  },
  {
    name: 'download, uploaded',
    steps: ['find', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(fixture) {
      const key = await fixture.announceAndPut(first);
      return { key, ask: { method: 'download', s3Key: key } };
    },
  },
  {
    name: 'delete, READY',
    steps: ['mark_deleted', 'DELETE'],
    acts: ALL,
    async prepare(fixture) {
      const key = await ready(fixture);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'delete, READY, all URLs expired',
    steps: ['mark_deleted', 'DELETE'],
    acts: ['delete', 'sweep'],
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.change(purgeable);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'delete, pending',
    steps: ['mark_deleted', 'DELETE'],
    acts: ALL,
    async prepare(fixture) {
      const key = await fixture.announce(first);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'sweep, uploaded',
    steps: ['lease_due', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(fixture) {
      const key = await fixture.announceAndPut(first);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, uploaded, purgeable',
    steps: ['lease_due', 'HEAD', 'mark_ready'],
    acts: ['delete', 'sweep'],
    async prepare(fixture) {
      const key = await fixture.announceAndPut(first);
      await fixture.change(`${purgeable}, ${due}`);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, never uploaded',
    steps: ['lease_due', 'HEAD', 'reschedule'],
    acts: [...ALL, 'create'],
    async prepare(fixture) {
      const key = await fixture.announce(first);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, never uploaded, purgeable',
    steps: ['lease_due', 'HEAD', 'purge'],
    acts: ['create', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await fixture.announce(first);
      await fixture.change(`${purgeable}, ${due}`);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone',
    steps: ['lease_due', 'DELETE', 'reschedule'],
    acts: ['put', 'sweep'],
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.deleteAndDie(key);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone, purgeable',
    steps: ['lease_due', 'DELETE', 'purge'],
    acts: ['sweep'],
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.deleteAndDie(key);
      await fixture.change(`${purgeable}, ${due}`);
      return { key, ask: sweep };
    },
  },
];

/** A READY file whose object was removed without the service. */
async function gone(fixture: Fixture): Promise<string> {
  const key = await ready(fixture);
  await fixture.removeObject(key);
  await fixture.change(notFresh);
  return key;
}
