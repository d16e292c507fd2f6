import { cut, type Fixture } from './crash-fixture.ts';
import type { Operation } from './crash-operations.ts';
import type { CutContent } from './crash-ports.ts';

/** Three parts; the last part is shorter. */
export const film: CutContent = cut('film.mp4', 'the film');
const begin = { method: 'begin', content: film } as const;
const sweep = { method: 'sweep' } as const;
const due = `due_at = now()`;

/** An unfinished upload with one of its parts. */
async function underWay(fixture: Fixture): Promise<string> {
  const key = await fixture.begin(film);
  await fixture.putParts(key, [1]);
  return key;
}

/** An unfinished upload with all its parts. */
async function uploaded(fixture: Fixture): Promise<string> {
  const key = await fixture.begin(film);
  await fixture.putParts(key, [1, 2, 3]);
  return key;
}

/** S3 has assembled the object, and the response was lost. */
async function madeUnheard(fixture: Fixture): Promise<string> {
  const key = await uploaded(fixture);
  await fixture.completeInBucket(key);
  return key;
}

async function made(fixture: Fixture): Promise<string> {
  const key = await uploaded(fixture);
  await fixture.ask({ method: 'complete', s3Key: key });
  return key;
}

/** The call that began the upload was killed before it could commit the id. */
async function nameless(fixture: Fixture): Promise<string> {
  const key = await underWay(fixture);
  await fixture.change('upload_id = null');
  return key;
}

/** The operations of multipart uploads. */
export const OPERATIONS_IN_PARTS: Operation[] = [
  {
    name: 'begin, new',
    steps: ['reserve', 'begin', 'set_upload_id'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    prepare: async (fixture) => ({ key: `${fixture.user}_film.mp4`, ask: begin }),
  },
  {
    name: 'begin, pending',
    steps: ['reserve', 'HEAD', 'find_upload', 'parts', 'update_intent'],
    acts: ['finish', 'make', 'part', 'begin', 'delete', 'sweep'],
    prepare: async (fixture) => ({ key: await underWay(fixture), ask: begin }),
  },
  {
    name: 'begin, the upload id was not committed',
    steps: [
      'reserve',
      'HEAD',
      'find_upload',
      'uploads',
      'set_upload_id',
      'find_upload',
      'parts',
      'update_intent',
    ],
    acts: ['finish', 'part', 'begin', 'delete'],
    prepare: async (fixture) => ({ key: await nameless(fixture), ask: begin }),
  },
  {
    name: 'begin, S3 has lost the upload',
    steps: [
      ...['reserve', 'HEAD', 'find_upload', 'parts', 'HEAD', 'uploads', 'begin', 'set_upload_id'],
      ...['find_upload', 'parts', 'update_intent'],
    ],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await underWay(fixture);
      await fixture.abortInBucket(key);
      return { key, ask: begin };
    },
  },
  {
    name: 'begin, completed without an answer',
    steps: ['reserve', 'HEAD', 'mark_ready'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    prepare: async (fixture) => ({ key: await madeUnheard(fixture), ask: begin }),
  },
  {
    name: 'URLs of parts',
    steps: ['renew_upload'],
    acts: ['finish', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await underWay(fixture);
      return { key, ask: { method: 'presign', s3Key: key, partNumbers: [2, 3] } };
    },
  },
  {
    name: 'URLs of parts, no upload id committed',
    steps: ['renew_upload', 'find_upload', 'uploads', 'set_upload_id', 'find_upload', 'parts'],
    acts: ['finish', 'begin', 'delete'],
    async prepare(fixture) {
      const key = await nameless(fixture);
      return { key, ask: { method: 'presign', s3Key: key, partNumbers: [2, 3] } };
    },
  },
  {
    name: 'complete',
    steps: ['find', 'renew_upload', 'parts', 'complete', 'HEAD', 'mark_ready'],
    acts: ['finish', 'make', 'part', 'begin', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await uploaded(fixture);
      return { key, ask: { method: 'complete', s3Key: key } };
    },
  },
  {
    name: 'complete, purgeable',
    steps: ['find', 'renew_upload', 'parts', 'complete', 'HEAD', 'mark_ready'],
    acts: ['begin', 'sweep'],
    async prepare(fixture) {
      const key = await uploaded(fixture);
      await fixture.outlive();
      return { key, ask: { method: 'complete', s3Key: key } };
    },
  },
  {
    name: 'complete, completed without an answer',
    steps: ['find', 'renew_upload', 'parts', 'HEAD', 'mark_ready'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await madeUnheard(fixture);
      return { key, ask: { method: 'complete', s3Key: key } };
    },
  },
  {
    name: 'delete, multipart',
    steps: ['mark_deleted', 'DELETE', 'uploads', 'abort'],
    acts: ['finish', 'begin', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await underWay(fixture);
      return { key, ask: { method: 'delete', s3Key: key } };
    },
  },
  {
    name: 'sweep, multipart',
    steps: ['lease_due', 'HEAD', 'reschedule'],
    acts: ['finish', 'part', 'begin', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await underWay(fixture);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, multipart, purgeable',
    steps: ['lease_due', 'HEAD', 'expire_upload', 'DELETE', 'uploads', 'abort'],
    acts: ['finish', 'begin', 'complete', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await uploaded(fixture);
      await fixture.outlive();
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone with parts',
    steps: ['lease_due', 'DELETE', 'uploads', 'abort', 'reschedule'],
    acts: ['begin', 'sweep'],
    async prepare(fixture) {
      const key = await underWay(fixture);
      await fixture.deleteAndDie(key);
      await fixture.outlive();
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, tombstone without parts',
    steps: ['lease_due', 'DELETE', 'uploads', 'purge'],
    acts: ['sweep'],
    async prepare(fixture) {
      const key = await underWay(fixture);
      await fixture.ask({ method: 'delete', s3Key: key });
      await fixture.outlive();
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, READY, with another upload',
    steps: ['lease_due', 'uploads', 'abort', 'reschedule'],
    acts: ['begin', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await made(fixture);
      await fixture.beginInBucket(key);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
  {
    name: 'sweep, READY, multipart',
    steps: ['lease_due', 'uploads', 'clear_sweep'],
    acts: ['begin', 'delete', 'sweep'],
    async prepare(fixture) {
      const key = await made(fixture);
      await fixture.change(due);
      return { key, ask: sweep };
    },
  },
];
