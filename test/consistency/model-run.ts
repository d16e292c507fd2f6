/** Runs one sequence of steps on the real service and on the model, and compares their answers. */
import type { Rules } from './model.ts';
import type { ModelFixture } from './model-fixture.ts';
import { createSteps } from './model-run-creates.ts';
import { endOfRun } from './model-run-end.ts';
import { eventSteps } from './model-run-events.ts';
import { multipartSteps } from './model-run-multipart.ts';
import { readSteps } from './model-run-reads.ts';
import { counts, openRun } from './model-run-state.ts';
import { uploadSteps } from './model-run-uploads.ts';
import { CONTENTS, isCut, STRANGE, type Step } from './model-steps.ts';

const MINUTE_MS = 60_000;
/**
 * The clock of a run never stops closer than this to a moment at which an answer changes. Postgres's clock moves on
 * during a run, which takes 1 or 2 s, and must not pass such a moment.
 */
const EDGE_MS = 15_000;

export async function run(fixture: ModelFixture, rules: Rules, steps: Step[]): Promise<void> {
  const state = openRun(fixture, rules);
  const { id, model, events, urls, owners, underWay, uploaded, deleted, equal, pick, outcome, notFound } =
    state;
  const creates = createSteps(state);
  const uploads = uploadSteps(state);
  const reads = readSteps(state);
  const multipart = multipartSteps(state, creates);
  const consumer = eventSteps(state);
  const trace: string[] = [];

  async function remove(step: Step & { do: 'delete' }): Promise<string | undefined> {
    const of = state.keyAndUser(step);
    if (of === undefined) return undefined;
    const known = model.delete(of.user, of.key, fixture.now());
    const took = await outcome(fixture.delete(of.user, of.key));
    const label = `${of.user} deletes ${of.key}`;
    if (!known) equal(label, took, { refused: notFound(of.key) });
    else {
      equal(label, took, { answer: undefined });
      uploaded.delete(of.key);
      deleted.add(of.key);
      events.deleted(of.key);
    }
    return `${label}: ${known ? 'done' : 'not found'}`;
  }

  async function sweep(): Promise<string> {
    const swept = await fixture.sweep();
    counts.sweeps++;
    counts.rowsSwept += swept.length;
    for (const { key, outcome: did } of swept) {
      if (did === 'expired' && isCut([...model.live].find((file) => file.key === key)?.content ?? ''))
        counts.givenUp++;
      const wasLost = [...model.live].find((file) => file.key === key)?.lost === true;
      model.swept(key, did, fixture.now(), events.due.has(key));
      if (did === 'expired') events.expired(key, wasLost);
      if (did === 'purged') events.purged(key);
    }
    return `sweep: ${swept.map(({ key, outcome: did }) => `${key} ${did}`).join(', ') || 'nothing'}`;
  }

  async function stranger(
    step: Step & { do: 'stranger removes' | 'stranger writes' },
  ): Promise<string | undefined> {
    const key = pick([...owners.keys()], step.key);
    if (key === undefined) return undefined;
    uploaded.delete(key);
    if (step.do === 'stranger removes') {
      await fixture.strangerRemoves(key);
      model.bucket.delete(key);
      return `a stranger removes ${key}`;
    }
    const content = CONTENTS[step.content] ?? STRANGE;
    const mimeType = 'application/x-strange';
    await fixture.strangerWrites(key, content, mimeType);
    const lastModifiedMs = Math.floor(fixture.now() / 1_000) * 1_000;
    model.bucket.set(key, { content, mimeType, lastModifiedMs, stranger: true });
    deleted.delete(key);
    return `a stranger writes "${content}" into ${key}`;
  }

  const edgesMs = () => [...model.edgesMs(), ...urls.map(({ endMs }) => endMs)];

  async function jumpToEdge(step: Step & { do: 'jump to an edge' }): Promise<string | undefined> {
    const ahead = [...new Set(edgesMs())]
      .filter((edge) => edge > fixture.now() + 2 * MINUTE_MS)
      .sort((a, b) => a - b);
    const edge = ahead[step.edge % Math.max(1, ahead.length)];
    if (edge === undefined) return undefined;
    const label = await jump((edge - fixture.now()) / MINUTE_MS + (step.side === 'after' ? 1 : -1));
    return step.andSweep ? `${label}; ${await sweep()}` : label;
  }

  async function jump(minutes: number): Promise<string> {
    let untilMs = fixture.now() + minutes * MINUTE_MS;
    while (edgesMs().some((edge) => Math.abs(edge - untilMs) < EDGE_MS)) untilMs += EDGE_MS;
    // No PUT takes longer than LONGEST_UPLOAD_SECONDS.
    for (const late of underWay.filter(
      ({ handed }) => untilMs > handed.endMs + rules.longestUploadSeconds * 1_000 - EDGE_MS,
    )) {
      late.upload.abort();
      underWay.splice(underWay.indexOf(late), 1);
    }
    await fixture.jump(untilMs - fixture.now());
    return `${Math.round(minutes)} minutes pass`;
  }

  async function upload(step: Step & { do: 'upload' }): Promise<string> {
    const asked = urls.length;
    const label = await creates.create(step);
    return urls.length === asked
      ? label
      : `${label}; ${await uploads.put({ do: 'put', url: 0, how: 'right' })}`;
  }

  const takers: { [Do in Step['do']]: (step: Step & { do: Do }) => Promise<string | undefined> } = {
    create: creates.create,
    'create many': creates.createMany,
    upload,
    put: uploads.put,
    begin: uploads.begin,
    land: uploads.land,
    'begin parts': multipart.begin,
    'send part': multipart.send,
    'send the rest': multipart.sendTheRest,
    complete: multipart.complete,
    'S3 loses the upload': multipart.lose,
    list: reads.list,
    page: reads.page,
    get: reads.get,
    'get many': reads.getMany,
    download: reads.download,
    delete: remove,
    sweep,
    'lease and die': async () => `a sweeper dies with ${await fixture.leaseAndDie()} rows`,
    deliver: consumer.deliver,
    'acknowledge late': consumer.acknowledgeLate,
    replay: consumer.replay,
    'stranger removes': stranger,
    'stranger writes': stranger,
    jump: ({ minutes }) => jump(minutes),
    'jump to an edge': jumpToEdge,
  };
  const take = (step: Step) => {
    const taker: (step: never) => Promise<string | undefined> = takers[step.do];
    return taker(step as never);
  };
  const end = endOfRun(state, trace, { jump, sweep, deliverAll: consumer.deliverAll, list: reads.list });

  await fixture.reset();
  counts.runs++;
  try {
    for (const step of steps) {
      trace.push(`… ${JSON.stringify(step)}`);
      const label = await take(step);
      trace.pop();
      if (label === undefined) continue;
      counts.steps++;
      trace.push(label);
      events.observe();
      equal('no error was hidden from the caller', fixture.errors, []);
    }
    trace.push('the end:');
    await end();
    equal('no error was hidden from the caller', fixture.errors, []);
  } catch (error) {
    for (const { upload } of underWay) upload.abort();
    const lines = trace.map((line) => `  ${line.replaceAll(id, 'u')}`).join('\n');
    throw new Error(`${(error as Error).message.replaceAll(id, 'u')}\n after\n${lines}`, { cause: error });
  }
}
