/** The steps of a run for multipart uploads. */

import { putTo } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import type { ModelFile } from './model.ts';
import type { CreateSteps } from './model-run-creates.ts';
import { counts, type Run } from './model-run-state.ts';
import { CUT_CONTENTS, isCut, MIME_TYPES, NAMES, PART_BYTES, partsOf, type Step } from './model-steps.ts';

export function multipartSteps(run: Run, { expectTooMany, expectExisting, expectKey }: CreateSteps) {
  const { fixture, rules, model, users, owners, check, equal } = run;

  const numbersOf = (content: string) => partsOf(content).map((_, i) => i + 1);
  const missingOf = ({ content, parts }: ModelFile) =>
    numbersOf(content).filter((number) => !parts?.landed.has(number));

  /** Files that were uploaded by multipart. */
  function fileAt(fromNewest: number): ModelFile | undefined {
    return run.pick(
      [...model.live].filter(({ content }) => isCut(content)),
      fromNewest,
    );
  }

  async function begin(step: Step & { do: 'begin parts' }): Promise<string> {
    const user = users[step.user] ?? '';
    const content = CUT_CONTENTS[step.content] ?? '';
    const plainKey = run.plainKeyOf(step.user, step.name);
    const ask = {
      filename: NAMES[step.name] ?? '',
      mimeType: MIME_TYPES[step.type] ?? '',
      content,
      plainKey,
    };
    const nowMs = fixture.now();
    const rule = model.create(user, ask, nowMs);
    const partMd5s = partsOf(content).map((part) => Buffer.from(md5(part), 'base64'));
    const took = await run.outcome(fixture.begin(user, { ...ask, size: BigInt(content.length), partMd5s }));
    const label = `${user} begins ${ask.filename} (${content})`;
    if ('refused' in took) return expectTooMany(label, took, rule);
    const { answer } = took;
    equal(`${label}: the part size`, answer.partSize, PART_BYTES);
    if (answer.type === 'existing') return expectExisting(label, user, answer.s3Key, content, rule);
    check(rule.type === 'new', `${label}: NEW`, answer, rule);
    if (rule.type !== 'new') return label;
    expectKey(label, answer.s3Key, rule, plainKey);
    const endMs = answer.expireTime.getTime();
    check(
      Math.abs(endMs - nowMs - rules.multipartSeconds * 1_000) <= 1_000,
      `${label}: the lifetime is a week`,
    );
    // S3 keeps the MIME type with which the upload was begun.
    const mimeType = rule.file?.mimeType ?? ask.mimeType;
    const file = model.handedOut(user, { ...ask, mimeType }, answer.s3Key, endMs);
    if (!file.parts?.open) file.parts = { landed: new Set(), open: true };
    if (file.parts.landed.size > 0) counts.resumed++;
    equal(`${label}: the missing parts`, answer.missingPartNumbers, missingOf(file));
    owners.set(answer.s3Key, user);
    run.isOwn(user, answer.s3Key);
    run.deleted.delete(answer.s3Key);
    return `${label}: NEW ${answer.s3Key}, missing ${missingOf(file)}`;
  }

  /** After a week only a new begin counts the upload as pending again. */
  const isOver = (file: ModelFile) => file.state === 'pending' && file.urlsEndMs <= fixture.now();

  async function send(step: Pick<Step & { do: 'send part' }, 'key' | 'number' | 'how'>) {
    const file = fileAt(step.key);
    if (file === undefined || isOver(file)) return undefined;
    const { user, key, content } = file;
    const number = 1 + (step.number % partsOf(content).length);
    const label = `${user} sends part ${number} of ${key}`;
    const took = await run.outcome(fixture.presignParts(user, key, [number]));
    if ('refused' in took) {
      const reason = file.state === 'ready' ? 'UPLOAD_COMPLETE' : 'FILE_NOT_FOUND';
      check(file.state === 'ready' || file.lost, `${label}: refused`, took);
      equal(label, took.refused.reason, reason);
      return `${label}: ${reason}`;
    }
    check(file.state === 'pending' && !file.lost, `${label}: the file is READY or lost`, took);
    model.renew(file, fixture.now());
    const [url] = took.answer.urls;
    const right = partsOf(content)[number - 1] ?? '';
    const bytes = step.how === 'right' ? right : 'x'.repeat(right.length);
    const { status } = await putTo(url?.url ?? '', url?.requiredHeaders ?? {}, bytes);
    const open = file.parts?.open === true;
    equal(`${label} (${step.how})`, status, !open ? 404 : step.how === 'right' ? 200 : 400);
    if (status === 200) {
      file.parts?.landed.add(number);
      counts.parts++;
    } else counts.partsRefused++;
    return `${label}: ${status}`;
  }

  async function complete(step: Pick<Step & { do: 'complete' }, 'key' | 'as'>): Promise<string | undefined> {
    const file = fileAt(step.key);
    if (file === undefined || isOver(file)) return undefined;
    const { key, content } = file;
    const other = users[(users.indexOf(file.user) + 1) % users.length] ?? '';
    const user = step.as === 'owner' ? file.user : other;
    const label = `${user} completes ${key}`;
    const nowMs = fixture.now();
    const took = await run.outcome(fixture.complete(user, key));
    if (step.as === 'other') {
      run.expectNotFound(label, took, key, false);
      return `${label}: not found`;
    }
    const wasReady = file.state === 'ready';
    const isUnderWay = !wasReady && !file.lost;
    if (isUnderWay) model.renew(file, nowMs);
    const missing = missingOf(file);
    if (isUnderWay && file.parts?.open) {
      if (missing.length === 0) {
        const lastModifiedMs = Math.floor(nowMs / 1_000) * 1_000;
        model.bucket.set(key, { content, mimeType: file.mimeType, lastModifiedMs, stranger: false });
        run.uploaded.set(key, { user, content });
        counts.completed++;
      } else if (model.bucket.get(key) === undefined) {
        const { reason, metadata } = 'refused' in took ? took.refused : { reason: 'OK', metadata: undefined };
        equal(label, [reason, metadata?.missing_part_numbers], ['UPLOAD_INCOMPLETE', missing.join()]);
        return `${label}: incomplete`;
      }
    }
    const seen = model.isFresh(file, nowMs) ? 'verified' : model.verify(file, nowMs);
    if (seen === 'verified') {
      check('answer' in took, `${label}: refused`, took);
      if ('answer' in took) run.expectShown(label, took.answer, file);
      return `${label}: done`;
    }
    if (seen === 'missing' && isUnderWay) {
      equal(label, 'refused' in took && took.refused.reason, 'UPLOAD_INCOMPLETE');
      return `${label}: incomplete`;
    }
    run.expectNotFound(label, took, key, seen === 'mismatch');
    return `${label}: ${seen}`;
  }

  async function sendTheRest({ key }: Step & { do: 'send the rest' }): Promise<string | undefined> {
    const file = fileAt(key);
    if (file?.state !== 'pending' || file.lost) return undefined;
    const label: (string | undefined)[] = [];
    for (const number of missingOf(file)) label.push(await send({ key, number: number - 1, how: 'right' }));
    label.push(await complete({ key, as: 'owner' }));
    return label[0] && label.join('; ');
  }

  async function lose({ key }: Step & { do: 'S3 loses the upload' }): Promise<string | undefined> {
    const file = fileAt(key);
    if (!file?.parts?.open) return undefined;
    await fixture.strangerAborts(file.key);
    file.parts = { landed: new Set(), open: false };
    counts.uploadsLost++;
    return `S3 loses the upload of ${file.key}`;
  }

  return { begin, send, sendTheRest, complete, lose };
}
