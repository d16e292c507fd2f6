/** The steps that create uploads with a single PUT, alone and in batches. */
import type { UploadAnswer } from '../../src/files/operations/create-presigned-upload.ts';
import { md5 } from '../harness/random.ts';
import type { CreateRule, ModelFile } from './model.ts';
import { counts, type Refusal, type Run } from './model-run-state.ts';
import { type Asked, CONTENTS, MIME_TYPES, NAMES, STRANGE, type Step } from './model-steps.ts';

export type CreateSteps = ReturnType<typeof createSteps>;

export function createSteps(run: Run) {
  const { fixture, rules, id, users, model, urls, owners, deleted, check, equal, isOwn, outcome, notFound } =
    run;

  function creation(step: Asked) {
    const content = CONTENTS[step.content] ?? STRANGE;
    const ask = {
      filename: NAMES[step.name] ?? '',
      mimeType: MIME_TYPES[step.type] ?? '',
      content,
      plainKey: run.plainKeyOf(step.user, step.name),
    };
    const size = { ...(step.tellsSize && { size: BigInt(content.length) }) };
    const request = { ...ask, md5: md5(content), ...size };
    return { step, user: users[step.user] ?? id, content, ask, request };
  }

  async function create(step: Asked): Promise<string> {
    const made = creation(step);
    const rule = model.create(made.user, made.ask, fixture.now());
    return expectCreated(made, rule, await outcome(fixture.create(made.user, made.request)));
  }

  /**
   * The answers of a batch are those of creates, one after the other, with one difference: an upload that turns out to
   * be READY may hold a slot until the new uploads have taken theirs. So the requests that answer EXISTING come first
   * here, and a request may be refused if all uploads together reach the limit.
   */
  async function createMany(step: Step & { do: 'create many' }): Promise<string> {
    const made = step.requests.map((request) => creation({ ...request, user: step.user }));
    const user = users[step.user] ?? id;
    const results = await fixture.createMany(
      user,
      made.map(({ request }) => request),
    );
    const answers = await Promise.all(
      results.map((result) =>
        outcome(
          result.status === 'fulfilled' ? Promise.resolve(result.value) : Promise.reject(result.reason),
        ),
      ),
    );
    const all = made.map((one, index) => ({
      one,
      took: answers[index] ?? { refused: notFound('no result') },
    }));
    const isExisting = ({ took }: (typeof all)[number]) =>
      'answer' in took && took.answer.type === 'existing';
    const before = model.countPending(user, fixture.now());
    let answered = 0;
    let refused = false;
    const labels: string[] = [];
    /** Files whose upload this batch has begun again. The batch has asked S3 about them once. */
    const begun = new Set<ModelFile>();
    for (const { one, took } of [...all.filter(isExisting), ...all.filter((each) => !isExisting(each))]) {
      const again = [...begun].find(({ content }) => content === one.content);
      const rule: CreateRule = again
        ? { type: 'new', file: again }
        : model.create(user, one.ask, fixture.now());
      refused ||= 'refused' in took;
      if ('answer' in took) answered++;
      labels.push(
        await expectCreated(one, 'refused' in took ? { type: 'too many', arrived: undefined } : rule, took),
      );
      const file = [...model.live].find((each) => each.user === user && each.content === one.content);
      if (file !== undefined && 'answer' in took && took.answer.type === 'new') begun.add(file);
    }
    check(!refused || before + answered >= rules.pendingMax, 'a batch is refused only at the limit', results);
    return `a batch: ${labels.join('; ')}`;
  }

  async function expectCreated(
    { step, user, content, ask }: ReturnType<typeof creation>,
    rule: CreateRule,
    took: { answer: UploadAnswer } | { refused: Refusal },
  ): Promise<string> {
    const label = `${user} creates ${ask.filename} (${content})`;
    if ('refused' in took) return expectTooMany(label, took, rule);
    const { answer } = took;
    equal(`${label}: the md5`, answer.md5, md5(content));
    if (answer.type === 'existing') return expectExisting(label, user, answer.s3Key, content, rule);
    check(rule.type === 'new', `${label}: NEW`, answer, rule);
    if (rule.type === 'new') expectKey(label, answer.s3Key, rule, ask.plainKey);
    equal(`${label}: what the PUT must send`, answer.upload.requiredHeaders, {
      'Content-Type': ask.mimeType,
      'Content-MD5': md5(content),
      ...(step.tellsSize && { 'Content-Length': String(content.length) }),
    });
    handedOut(user, ask, answer);
    return `${label}: NEW ${answer.s3Key}`;
  }

  function expectTooMany(label: string, took: { refused: Refusal }, rule: CreateRule): string {
    check(rule.type === 'too many', `${label}: refused`, took, rule);
    equal(label, took.refused.reason, 'TOO_MANY_PENDING_UPLOADS');
    return `${label}: too many`;
  }

  async function expectExisting(
    label: string,
    user: string,
    key: string,
    content: string,
    rule: CreateRule,
  ): Promise<string> {
    await existingIsTrue(key, content);
    const file = rule.type === 'too many' ? rule.arrived : rule.file;
    check(file !== undefined && rule.type !== 'new', `${label}: EXISTING`, rule);
    equal(`${label}: the key`, key, file?.key);
    if (file && rule.type === 'too many') model.verify(file, fixture.now());
    isOwn(user, key);
    return `${label}: EXISTING ${key}`;
  }

  /** Checked independently of the model: EXISTING means that S3 holds the content. */
  async function existingIsTrue(key: string, content: string) {
    const known = [...model.live].find((file) => file.key === key);
    const strangersWork = known !== undefined && !model.holdsRightBytes(known);
    check(
      strangersWork || (await fixture.object(key)) === content,
      `EXISTING was false: ${key} does not hold it`,
    );
    counts.existingTrue++;
  }

  function expectKey(
    label: string,
    key: string,
    rule: { file: ModelFile | undefined; plainKey?: 'yes' | 'no' | 'either' },
    plainKey: string,
  ) {
    if (rule.file !== undefined) return equal(`${label}: the key`, key, rule.file.key);
    // A key is bound to one content for as long as a URL may write to it.
    const bound = urls.find(
      (url) => url.key === key && fixture.now() < url.endMs + rules.longestUploadSeconds * 1_000,
    );
    check(
      bound === undefined,
      `${label}: the key ${key} is given again while a URL for it may be valid`,
      bound,
    );
    check(![...model.live].some((file) => file.key === key), `${label}: ${key} is another file's`);
    const [stem = '', extension = ''] = plainKey.split('.txt', 1).concat('.txt');
    const suffixed =
      key.startsWith(`${stem}-`) && key.endsWith(extension) && key.length === plainKey.length + 9;
    check(key === plainKey || suffixed, `${label}: ${key} is not a key of this name`);
    check(rule.plainKey !== 'yes' || key === plainKey, `${label}: ${plainKey} is free`, key);
    check(rule.plainKey !== 'no' || suffixed, `${label}: ${plainKey} is taken`);
  }

  function handedOut(
    user: string,
    ask: Parameters<typeof model.handedOut>[1],
    answer: UploadAnswer & { type: 'new' },
  ) {
    const { url, requiredHeaders: headers, expireTime } = answer.upload;
    const endMs = expireTime.getTime();
    check(
      Math.abs(endMs - fixture.now() - rules.urlSeconds * 1_000) <= 1_000,
      'the URL lives as long as it says',
    );
    model.handedOut(user, ask, answer.s3Key, endMs);
    owners.set(answer.s3Key, user);
    isOwn(user, answer.s3Key);
    deleted.delete(answer.s3Key);
    urls.push({ user, key: answer.s3Key, content: ask.content, url, headers, endMs });
  }

  return { create, createMany, expectTooMany, expectExisting, expectKey };
}
