import type { Operation } from './crash-operations.ts';
import type { CutContent } from './crash-ports.ts';
import { cut, type Scene } from './crash-scene.ts';

/** Three parts, the last of which is shorter. */
export const film: CutContent = cut('film.mp4', 'the film');
const begin = { method: 'begin', content: film } as const;
const sweep = { method: 'sweep' } as const;
const due = `due_at = now()`;

/** Under way, with one of its parts. */
async function underWay(scene: Scene): Promise<string> {
  const key = await scene.begin(film);
  await scene.putParts(key, [1]);
  return key;
}

/** With all its parts. */
async function uploaded(scene: Scene): Promise<string> {
  const key = await scene.begin(film);
  await scene.putParts(key, [1, 2, 3]);
  return key;
}

/** S3 has made the object, and nobody has heard of it. */
async function madeUnheard(scene: Scene): Promise<string> {
  const key = await uploaded(scene);
  await scene.completeInBucket(key);
  return key;
}

async function made(scene: Scene): Promise<string> {
  const key = await uploaded(scene);
  await scene.ask({ method: 'complete', s3Key: key });
  return key;
}

/** A call that began it died before it could write that down. */
async function nameless(scene: Scene): Promise<string> {
  const key = await underWay(scene);
  await scene.change('upload_id = null');
  return key;
}

/** Of uploads in parts. */
export const OPERATIONS_IN_PARTS: Operation[] = [
  {
    name: 'begin, new',
    steps: ['reserve', 'begin', 'bind_upload'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    prepare: async (scene) => ({ key: `${scene.user}_film.mp4`, ask: begin }),
  },
  {
    name: 'begin, pending',
    steps: ['reserve', 'HEAD', 'find_upload', 'parts', 'adopt'],
    acts: ['finish', 'make', 'part', 'begin', 'delete', 'sweep'],
    prepare: async (scene) => ({ key: await underWay(scene), ask: begin }),
  },
  {
    name: 'begin, its name was not committed',
    steps: ['reserve', 'HEAD', 'find_upload', 'uploads', 'bind_upload', 'find_upload', 'parts', 'adopt'],
    acts: ['finish', 'part', 'begin', 'delete'],
    prepare: async (scene) => ({ key: await nameless(scene), ask: begin }),
  },
  {
    name: 'begin, S3 has lost the upload',
    steps: [
      ...['reserve', 'HEAD', 'find_upload', 'parts', 'HEAD', 'uploads', 'begin', 'bind_upload'],
      ...['find_upload', 'parts', 'adopt'],
    ],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await underWay(scene);
      await scene.abortInBucket(key);
      return { key, ask: begin };
    },
  },
  {
    name: 'begin, made and nobody has heard',
    steps: ['reserve', 'HEAD', 'mark_ready'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    prepare: async (scene) => ({ key: await madeUnheard(scene), ask: begin }),
  },
  {
    name: 'URLs of parts',
    steps: ['renew_upload'],
    acts: ['finish', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await underWay(scene);
      return { key, ask: { method: 'presign', s3Key: key, partNumbers: [2, 3] } };
    },
  },
  {
    name: 'URLs of parts, no name committed',
    steps: ['renew_upload', 'find_upload', 'uploads', 'bind_upload', 'find_upload', 'parts'],
    acts: ['finish', 'begin', 'delete'],
    async prepare(scene) {
      const key = await nameless(scene);
      return { key, ask: { method: 'presign', s3Key: key, partNumbers: [2, 3] } };
    },
  },
  {
    name: 'complete',
    steps: ['find', 'renew_upload', 'parts', 'complete', 'HEAD', 'mark_ready'],
    acts: ['finish', 'make', 'part', 'begin', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await uploaded(scene);
      return { key, ask: { method: 'complete', s3Key: key } };
    },
  },
  {
    name: 'complete, settled',
    steps: ['find', 'renew_upload', 'parts', 'complete', 'HEAD', 'mark_ready'],
    acts: ['begin', 'sweep'],
    async prepare(scene) {
      const key = await uploaded(scene);
      await scene.outlive();
      return { key, ask: { method: 'complete', s3Key: key } };
    },
  },
  {
    name: 'complete, made and nobody has heard',
    steps: ['find', 'renew_upload', 'parts', 'HEAD', 'mark_ready'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await madeUnheard(scene);
      return { key, ask: { method: 'complete', s3Key: key } };
    },
  },
  {
    name: 'delete, in parts',
    steps: ['mark_deleted', 'DELETE', 'uploads', 'abort'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await underWay(scene);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'sweep, in parts',
    steps: ['claim_due', 'HEAD', 'postpone'],
    acts: ['finish', 'part', 'begin', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await underWay(scene);
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, in parts, settled',
    steps: ['claim_due', 'HEAD', 'abandon', 'DELETE', 'uploads', 'abort'],
    acts: ['finish', 'begin', 'complete', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await uploaded(scene);
      await scene.outlive();
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone with parts',
    steps: ['claim_due', 'DELETE', 'uploads', 'abort', 'postpone'],
    acts: ['begin', 'sweep'],
    async prepare(scene) {
      const key = await underWay(scene);
      await scene.deleteAndDie(key);
      await scene.outlive();
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone without parts',
    steps: ['claim_due', 'DELETE', 'uploads', 'forget'],
    acts: ['sweep'],
    async prepare(scene) {
      const key = await underWay(scene);
      await scene.ask({ method: 'delete', s3Key: key });
      await scene.outlive();
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, READY, with another upload',
    steps: ['claim_due', 'uploads', 'abort', 'postpone'],
    acts: ['begin', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await made(scene);
      await scene.beginInBucket(key);
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, READY, of parts',
    steps: ['claim_due', 'uploads', 'mark_clean'],
    acts: ['begin', 'delete', 'sweep'],
    async prepare(scene) {
      const key = await made(scene);
      await scene.change(due);
      return { key, ask: sweep };
    },
  },
];
