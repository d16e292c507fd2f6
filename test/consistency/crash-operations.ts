import { content, type Fixture } from './crash-fixture.ts';
import type { Ask } from './crash-ports.ts';

/**
 * What somebody else does in a gap: a client's PUT, a client that asks for the upload again and makes it when the process
 * has died, a delete by an instance that dies after its commit, a sweeper.
 */
export type Act =
  | 'put'
  | 'create'
  | 'delete'
  | 'sweep'
  /** Of an upload in parts: one lands; somebody asks for it again, completes it, does the whole of it. */
  | 'part'
  | 'begin'
  | 'complete'
  | 'finish'
  /** By an instance that dies when S3 has made the object. */
  | 'make';

export interface Operation {
  name: string;
  /** The steps of the undisturbed operation, so that nobody kills what no longer has them. */
  steps: string[];
  /** What was before. `key` is what others act on in the gaps. */
  prepare(fixture: Fixture): Promise<{ ask: Ask; key?: string }>;
  /** No PUT comes in the gaps where there is no living URL. */
  acts: Act[];
  /** Somebody took the object out of the bucket, behind the service's back. */
  objectIsGone?: true;
}

const first = content('report.pdf', 'the first content');
const second = content('report.pdf', 'the second content, of the same name');
const third = content('another.txt', 'the third content');

export const create: Ask = { method: 'create', content: first };
const sweep: Ask = { method: 'sweep' };
const ALL: Act[] = ['put', 'delete', 'sweep'];

const settled = `url_expire_at = now() - interval '25 hours'`;
const longUnseen = `verified_at = now() - interval '1 day'`;
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
    name: 'create, pending and settled',
    steps: ['reserve', 'HEAD', 'update_intent'],
    acts: ['delete', 'sweep'],
    async prepare(fixture) {
      const key = await fixture.announce(first);
      await fixture.change(settled);
      return { key, ask: create };
    },
  },
  {
    name: 'create, arrived',
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
    name: 'create, READY and long unseen',
    steps: ['reserve', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.change(longUnseen);
      return { key, ask: create };
    },
  },
  {
    name: 'create, the object is gone',
    objectIsGone: true,
    steps: ['reserve', 'HEAD', 'mark_lost', 'reserve', 'HEAD', 'update_intent'],
    acts: ALL,
    async prepare(fixture) {
      const key = await gone(fixture);
      return { key, ask: create };
    },
  },
  {
    name: 'list, two arrived',
    steps: ['list_first_page', 'HEAD', 'HEAD', 'mark_ready', 'mark_ready', 'list_first_page'],
    acts: ALL,
    async prepare(fixture) {
      await fixture.announceAndPut(third);
      return { key: await fixture.announceAndPut(first), ask: { method: 'list' } };
    },
  },
  {
    name: 'list, one that never came',
    steps: ['list_first_page', 'HEAD'],
    acts: ALL,
    prepare: async (fixture) => ({ key: await fixture.announce(first), ask: { method: 'list' } }),
  },
  {
    name: 'get, arrived',
    steps: ['find', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(fixture) {
      const key = await fixture.announceAndPut(first);
      return { key, ask: { method: 'get', s3Key: key } };
    },
  },
  {
    name: 'get, the object is gone',
    objectIsGone: true,
    steps: ['find', 'HEAD', 'mark_lost'],
    acts: ALL,
    async prepare(fixture) {
      const key = await gone(fixture);
      return { key, ask: { method: 'get', s3Key: key } };
    },
  },
  {
    name: 'download, arrived',
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
    name: 'delete, READY for long',
    steps: ['mark_deleted', 'DELETE'],
    acts: ['delete', 'sweep'],
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.change(settled);
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
    name: 'sweep, arrived',
    steps: ['lease_due', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(fixture) {
      const key = await fixture.announceAndPut(first);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, arrived, settled',
    steps: ['lease_due', 'HEAD', 'mark_ready'],
    acts: ['delete', 'sweep'],
    async prepare(fixture) {
      const key = await fixture.announceAndPut(first);
      await fixture.change(`${settled}, ${due}`);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, never came',
    steps: ['lease_due', 'HEAD', 'reschedule'],
    acts: [...ALL, 'create'],
    async prepare(fixture) {
      const key = await fixture.announce(first);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, never came, settled',
    steps: ['lease_due', 'HEAD', 'purge'],
    acts: ['create', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await fixture.announce(first);
      await fixture.change(`${settled}, ${due}`);
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
    name: 'sweep, tombstone, settled',
    steps: ['lease_due', 'DELETE', 'purge'],
    acts: ['sweep'],
    async prepare(fixture) {
      const key = await ready(fixture);
      await fixture.deleteAndDie(key);
      await fixture.change(`${settled}, ${due}`);
      return { key, ask: sweep };
    },
  },
];

/** A READY file whose object somebody has removed. */
async function gone(fixture: Fixture): Promise<string> {
  const key = await ready(fixture);
  await fixture.removeObject(key);
  await fixture.change(longUnseen);
  return key;
}
