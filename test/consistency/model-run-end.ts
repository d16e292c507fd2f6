/** The end of a run: a long time passes, and then all must have been cleaned up. */
import { putTo } from '../harness/put.ts';
import { counts, type Run } from './model-run-state.ts';

const MINUTES_PER_DAY = 1_440;

/** The steps that the end repeats. Each returns a line for the trace. */
interface Steps {
  jump(minutes: number): Promise<string>;
  sweep(): Promise<string>;
  deliverAll(): Promise<string>;
  list(step: { do: 'list'; user: number; pageSize: number; prefix: string }): Promise<string>;
}

export function endOfRun(run: Run, trace: string[], { jump, sweep, deliverAll, list }: Steps) {
  const { fixture, rules, id, model, events, urls, underWay, uploaded, deleted, check, equal, outcome } = run;

  /** Lets a long time pass, and checks that everything has been cleaned up without an operator. */
  async function end(): Promise<void> {
    for (const { upload } of underWay.splice(0)) upload.abort();
    trace.push(await jump(rules.urlSeconds / 60 + 1));
    for (const { url, headers, content } of urls.slice(-8)) {
      equal('a URL after its end', (await putTo(url, headers, content)).status, 403);
    }
    await settle();
    // A read of a file whose object a stranger has overwritten finds the mismatch. Then the row is no longer
    // READY.
    const damaged = [...model.live].filter((file) => file.state === 'ready' && !model.holdsRightBytes(file));
    for (const { user, key } of damaged) {
      model.get(user, key, fixture.now());
      await outcome(fixture.get(user, key));
    }
    await settle();
    await tableAndBucketAgree();
    for (const user of [0, 1, 2]) trace.push(await list({ do: 'list', user, pageSize: 2, prefix: '' }));
    await nothingAcknowledgedIsLost();

    // The service never removes what a stranger wrote; the key stays taken until the stranger removes the
    // object.
    const strange = [...model.live].filter((file) => file.state === 'pending');
    if (strange.length === 0) return;
    for (const { key } of strange) {
      await fixture.strangerRemoves(key);
      model.bucket.delete(key);
    }
    await settle();
    await tableAndBucketAgree();
  }

  async function settle() {
    // A week and a day; an upload that expires then leaves a tombstone for another day.
    for (const days of [9, 2]) {
      trace.push(await jump(days * MINUTES_PER_DAY));
      events.observe();
      trace.push(await deliverAll());
      trace.push(await sweep());
    }
    events.observe();
    trace.push(await deliverAll());
    // Rescheduled rows are not due again at once.
    equal('a second sweep finds nothing due', (await fixture.sweep()).length, 0);
  }

  async function tableAndBucketAgree() {
    equal('no tombstone is left', [...model.tombstones.keys()], []);
    const [rows, objects] = await Promise.all([fixture.rows(), fixture.objects(id)]);
    const byKey = (a: string[], b: string[]) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1);
    equal(
      'the table, at the end',
      rows.map((row) => [row.s3_key, row.user_id, row.state]).sort(byKey),
      [...model.live].map((file) => [file.key, file.user, file.state]).sort(byKey),
    );
    equal(
      'the bucket, at the end',
      [...objects].sort(byKey),
      [...model.bucket].map(([key, { content }]) => [key, content]).sort(byKey),
    );
    equal(
      'unfinished uploads, at the end',
      (await fixture.uploads(id)).sort(),
      [...model.live].flatMap(({ parts, key }) => (parts?.open ? [key] : [])).sort(),
    );
    for (const file of model.live) {
      const strange = model.bucket.get(file.key)?.stranger === true && !model.holdsFile(file);
      check(
        file.state === 'ready' ? model.holdsRightBytes(file) : strange,
        `${file.key} is still ${file.state} at the end`,
      );
    }
    for (const [key, { stranger: strange }] of model.bucket) {
      const ready = [...model.live].some((file) => file.key === key && file.state === 'ready');
      check(ready || strange, `${key} is an orphan`);
    }
  }

  /** Checked independently of the model. */
  async function nothingAcknowledgedIsLost() {
    for (const [key, { user, content }] of uploaded) {
      // A download verifies the file, and may find that it was uploaded again with another type.
      model.get(user, key, fixture.now());
      const { download } = await fixture.download(user, key).catch((error: unknown) => {
        throw new Error(`an acknowledged upload was lost: ${key} of ${user}`, { cause: error });
      });
      const response = await fetch(download.url);
      check((await response.text()) === content, `an acknowledged upload was lost: ${key} has other bytes`);
      counts.uploadsKept++;
    }
    for (const key of deleted) {
      check((await fixture.object(key)) === undefined, `an acknowledged delete was lost: ${key} is back`);
      counts.deletesKept++;
    }
  }

  return end;
}
