import type { Ask } from './crash-ports.ts';
import { content, type Scene } from './crash-scene.ts';

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
  prepare(scene: Scene): Promise<{ ask: Ask; key?: string }>;
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
const longUnseen = `seen_at = now() - interval '1 day'`;
const due = `due_at = now()`;

async function ready(scene: Scene): Promise<string> {
  const key = await scene.announceAndPut(first);
  await scene.ask({ method: 'list' });
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
    steps: ['reserve', 'obstacles', 'reserve'],
    acts: ALL,
    prepare: async (scene) => ({ key: await scene.announceAndPut(second), ask: create }),
  },
  {
    name: 'create, the key has a tombstone',
    steps: ['reserve', 'obstacles', 'reserve'],
    acts: ['put', 'sweep'],
    async prepare(scene) {
      const key = await ready(scene);
      await scene.deleteAndDie(key);
      return { key, ask: create };
    },
  },
  {
    name: 'create, pending',
    steps: ['reserve', 'HEAD', 'adopt'],
    acts: [...ALL, 'create'],
    prepare: async (scene) => ({ key: await scene.announce(first), ask: create }),
  },
  {
    name: 'create, pending and settled',
    steps: ['reserve', 'HEAD', 'adopt'],
    acts: ['delete', 'sweep'],
    async prepare(scene) {
      const key = await scene.announce(first);
      await scene.change(settled);
      return { key, ask: create };
    },
  },
  {
    name: 'create, arrived',
    steps: ['reserve', 'HEAD', 'mark_ready'],
    acts: ALL,
    prepare: async (scene) => ({ key: await scene.announceAndPut(first), ask: create }),
  },
  {
    name: 'create, READY',
    steps: ['reserve'],
    acts: ALL,
    prepare: async (scene) => ({ key: await ready(scene), ask: create }),
  },
  {
    name: 'create, READY and long unseen',
    steps: ['reserve', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(scene) {
      const key = await ready(scene);
      await scene.change(longUnseen);
      return { key, ask: create };
    },
  },
  {
    name: 'create, the object is gone',
    objectIsGone: true,
    steps: ['reserve', 'HEAD', 'mark_lost', 'reserve', 'HEAD', 'adopt'],
    acts: ALL,
    async prepare(scene) {
      const key = await gone(scene);
      return { key, ask: create };
    },
  },
  {
    name: 'list, two arrived',
    steps: ['list_first_page', 'HEAD', 'HEAD', 'mark_ready', 'mark_ready', 'list_first_page'],
    acts: ALL,
    async prepare(scene) {
      await scene.announceAndPut(third);
      return { key: await scene.announceAndPut(first), ask: { method: 'list' } };
    },
  },
  {
    name: 'list, one that never came',
    steps: ['list_first_page', 'HEAD'],
    acts: ALL,
    prepare: async (scene) => ({ key: await scene.announce(first), ask: { method: 'list' } }),
  },
  {
    name: 'get, arrived',
    steps: ['find', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(scene) {
      const key = await scene.announceAndPut(first);
      return { key, ask: { method: 'get', s3Key: key } };
    },
  },
  {
    name: 'get, the object is gone',
    objectIsGone: true,
    steps: ['find', 'HEAD', 'mark_lost'],
    acts: ALL,
    async prepare(scene) {
      const key = await gone(scene);
      return { key, ask: { method: 'get', s3Key: key } };
    },
  },
  {
    name: 'download, arrived',
    steps: ['find', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(scene) {
      const key = await scene.announceAndPut(first);
      return { key, ask: { method: 'download', s3Key: key } };
    },
  },
  {
    name: 'delete, READY',
    steps: ['mark_deleted', 'DELETE'],
    acts: ALL,
    async prepare(scene) {
      const key = await ready(scene);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'delete, READY for long',
    steps: ['mark_deleted', 'DELETE'],
    acts: ['delete', 'sweep'],
    async prepare(scene) {
      const key = await ready(scene);
      await scene.change(settled);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'delete, pending',
    steps: ['mark_deleted', 'DELETE'],
    acts: ALL,
    async prepare(scene) {
      const key = await scene.announce(first);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'sweep, arrived',
    steps: ['claim_due', 'HEAD', 'mark_ready'],
    acts: ALL,
    async prepare(scene) {
      const key = await scene.announceAndPut(first);
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, arrived, settled',
    steps: ['claim_due', 'HEAD', 'mark_ready'],
    acts: ['delete', 'sweep'],
    async prepare(scene) {
      const key = await scene.announceAndPut(first);
      await scene.change(`${settled}, ${due}`);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, never came',
    steps: ['claim_due', 'HEAD', 'postpone'],
    acts: [...ALL, 'create'],
    async prepare(scene) {
      const key = await scene.announce(first);
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, never came, settled',
    steps: ['claim_due', 'HEAD', 'forget'],
    acts: ['create', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await scene.announce(first);
      await scene.change(`${settled}, ${due}`);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone',
    steps: ['claim_due', 'DELETE', 'postpone'],
    acts: ['put', 'sweep'],
    async prepare(scene) {
      const key = await ready(scene);
      await scene.deleteAndDie(key);
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone, settled',
    steps: ['claim_due', 'DELETE', 'forget'],
    acts: ['sweep'],
    async prepare(scene) {
      const key = await ready(scene);
      await scene.deleteAndDie(key);
      await scene.change(`${settled}, ${due}`);
      return { key, ask: sweep };
    },
  },
];

/** A READY file whose object somebody has removed. */
async function gone(scene: Scene): Promise<string> {
  const key = await ready(scene);
  await scene.removeObject(key);
  await scene.change(longUnseen);
  return key;
}
