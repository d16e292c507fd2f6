/** The steps of a run that are about uploads in parts. */

import { putTo } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import type { CreateRule, Model, ModelFile, Rules } from './model.ts';
import type { World } from './model-fixture.ts';
import { counts } from './model-run.ts';
import { CUT_CONTENTS, isCut, MIME_TYPES, NAMES, PART_BYTES, partsOf, type Step } from './model-steps.ts';

interface Refusal {
  reason: string;
  message: string;
  metadata: Record<string, string>;
}

/** What a run lends them. */
interface Run {
  world: World;
  rules: Rules;
  model: Model;
  users: readonly string[];
  owners: Map<string, string>;
  uploaded: Map<string, { user: string; content: string }>;
  deleted: Set<string>;
  check(holds: boolean, what: string, ...seen: unknown[]): void;
  equal(what: string, is: unknown, ought: unknown): void;
  pick<Value>(values: Value[], fromNewest: number): Value | undefined;
  outcome<Answer>(call: Promise<Answer>): Promise<{ answer: Answer } | { refused: Refusal }>;
  isOwn(user: string, key: string): void;
  existingIsTrue(key: string, content: string): Promise<void>;
  expectKey(told: string, key: string, rule: CreateRule & { type: 'new' }, plainKey: string): void;
  expectNotFound(told: string, took: object, key: string, mismatch: boolean): void;
  expectShown(what: string, is: object, file: ModelFile): void;
  plainKeyOf(user: number, name: number): string;
}

export function stepsInParts(run: Run) {
  const { world, rules, model, users, owners, check, equal } = run;

  const numbersOf = (content: string) => partsOf(content).map((_, i) => i + 1);
  const missingOf = ({ content, parts }: ModelFile) =>
    numbersOf(content).filter((number) => !parts?.landed.has(number));

  /** Keys of files in parts that are there. */
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
    const nowMs = world.now();
    const rule = model.create(user, ask, nowMs);
    const partMd5s = partsOf(content).map((part) => Buffer.from(md5(part), 'base64'));
    const took = await run.outcome(world.begin(user, { ...ask, size: BigInt(content.length), partMd5s }));
    const told = `${user} begins ${ask.filename} (${content})`;
    if ('refused' in took) {
      check(rule.type === 'too many', `${told}: refused`, took, rule);
      equal(told, took.refused.reason, 'TOO_MANY_PENDING_UPLOADS');
      return `${told}: too many`;
    }
    const { answer } = took;
    equal(`${told}: the part size`, answer.partSize, PART_BYTES);
    if (answer.type === 'existing') {
      const file = rule.type === 'too many' ? rule.arrived : rule.file;
      check(file !== undefined && rule.type !== 'new', `${told}: EXISTING`, rule);
      await run.existingIsTrue(answer.s3Key, content);
      equal(`${told}: the key`, answer.s3Key, file?.key);
      if (file && rule.type === 'too many') model.look(file, nowMs);
      run.isOwn(user, answer.s3Key);
      return `${told}: EXISTING ${answer.s3Key}`;
    }
    check(rule.type === 'new', `${told}: NEW`, answer, rule);
    if (rule.type !== 'new') return told;
    run.expectKey(told, answer.s3Key, rule, plainKey);
    const endMs = answer.expireTime.getTime();
    check(Math.abs(endMs - nowMs - rules.multipartSeconds * 1_000) <= 1_000, `${told}: it lives for a week`);
    // S3 keeps the type that it was begun with.
    const mimeType = rule.file?.mimeType ?? ask.mimeType;
    const file = model.handedOut(user, { ...ask, mimeType }, answer.s3Key, endMs);
    if (!file.parts?.open) file.parts = { landed: new Set(), open: true };
    if (file.parts.landed.size > 0) counts.resumed++;
    equal(`${told}: what is missing`, answer.missingPartNumbers, missingOf(file));
    owners.set(answer.s3Key, user);
    run.isOwn(user, answer.s3Key);
    run.deleted.delete(answer.s3Key);
    return `${told}: NEW ${answer.s3Key}, missing ${missingOf(file)}`;
  }

  /** Who comes when its week is over begins anew: only that counts it as pending again. */
  const isOver = (file: ModelFile) => file.state === 'pending' && file.urlsEndMs <= world.now();

  async function send(step: Pick<Step & { do: 'send part' }, 'key' | 'number' | 'how'>) {
    const file = fileAt(step.key);
    if (file === undefined || isOver(file)) return undefined;
    const { user, key, content } = file;
    const number = 1 + (step.number % partsOf(content).length);
    const told = `${user} sends part ${number} of ${key}`;
    const took = await run.outcome(world.presignParts(user, key, [number]));
    if ('refused' in took) {
      const reason = file.state === 'ready' ? 'UPLOAD_COMPLETE' : 'FILE_NOT_FOUND';
      check(file.state === 'ready' || file.lost, `${told}: refused`, took);
      equal(told, took.refused.reason, reason);
      return `${told}: ${reason}`;
    }
    check(file.state === 'pending' && !file.lost, `${told}: it is there, or was lost`, took);
    model.renew(file, world.now());
    const [url] = took.answer.urls;
    const right = partsOf(content)[number - 1] ?? '';
    const bytes = step.how === 'right' ? right : 'x'.repeat(right.length);
    const { status } = await putTo(url?.url ?? '', url?.requiredHeaders ?? {}, bytes);
    const open = file.parts?.open === true;
    equal(`${told} (${step.how})`, status, !open ? 404 : step.how === 'right' ? 200 : 400);
    if (status === 200) {
      file.parts?.landed.add(number);
      counts.parts++;
    } else counts.partsRefused++;
    return `${told}: ${status}`;
  }

  async function complete(step: Pick<Step & { do: 'complete' }, 'key' | 'as'>): Promise<string | undefined> {
    const file = fileAt(step.key);
    if (file === undefined || isOver(file)) return undefined;
    const { key, content } = file;
    const other = users[(users.indexOf(file.user) + 1) % users.length] ?? '';
    const user = step.as === 'owner' ? file.user : other;
    const told = `${user} completes ${key}`;
    const nowMs = world.now();
    const took = await run.outcome(world.complete(user, key));
    if (step.as === 'other') {
      run.expectNotFound(told, took, key, false);
      return `${told}: not found`;
    }
    const wasReady = file.state === 'ready';
    const isUnderWay = !wasReady && !file.lost;
    if (isUnderWay) model.renew(file, nowMs);
    const missing = missingOf(file);
    if (isUnderWay && file.parts?.open) {
      if (missing.length > 0) {
        const { reason, metadata } = 'refused' in took ? took.refused : { reason: 'OK', metadata: undefined };
        equal(told, [reason, metadata?.missing_part_numbers], ['UPLOAD_INCOMPLETE', missing.join()]);
        return `${told}: incomplete`;
      }
      const lastModifiedMs = Math.floor(nowMs / 1_000) * 1_000;
      model.bucket.set(key, { content, mimeType: file.mimeType, lastModifiedMs, stranger: false });
      run.uploaded.set(key, { user, content });
      counts.completed++;
    }
    const seen = model.isFresh(file, nowMs) ? 'bytes' : model.look(file, nowMs);
    if (seen === 'bytes') {
      check('answer' in took, `${told}: refused`, took);
      if ('answer' in took) run.expectShown(told, took.answer, file);
      return `${told}: done`;
    }
    if (seen === 'nothing' && isUnderWay) {
      equal(told, 'refused' in took && took.refused.reason, 'UPLOAD_INCOMPLETE');
      return `${told}: incomplete`;
    }
    run.expectNotFound(told, took, key, seen === 'other bytes');
    return `${told}: ${seen}`;
  }

  async function sendTheRest({ key }: Step & { do: 'send the rest' }): Promise<string | undefined> {
    const file = fileAt(key);
    if (file?.state !== 'pending' || file.lost) return undefined;
    const told: (string | undefined)[] = [];
    for (const number of missingOf(file)) told.push(await send({ key, number: number - 1, how: 'right' }));
    told.push(await complete({ key, as: 'owner' }));
    return told[0] && told.join('; ');
  }

  async function lose({ key }: Step & { do: 'S3 loses the upload' }): Promise<string | undefined> {
    const file = fileAt(key);
    if (!file?.parts?.open) return undefined;
    await world.strangerAborts(file.key);
    file.parts = { landed: new Set(), open: false };
    counts.uploadsLost++;
    return `S3 loses the upload of ${file.key}`;
  }

  return { begin, send, sendTheRest, complete, lose };
}
