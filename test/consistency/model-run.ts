/** Runs one sequence of steps on the real service and on the model, and compares their answers. */
import { isDeepStrictEqual } from 'node:util';
import { FileError } from '../../src/files/file-error.ts';
import type { UploadAnswer } from '../../src/files/operations/create-presigned-upload.ts';
import { multipartFingerprint } from '../../src/files/rules/fingerprint.ts';
import { putTo } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { type CreateRule, createModel, type ModelFile, type Rules } from './model.ts';
import { createModelEvents } from './model-events.ts';
import type { SlowUpload, World } from './model-fixture.ts';
import { eventSteps } from './model-run-events.ts';
import { multipartSteps, type Refusal } from './model-run-multipart.ts';
import {
  type Asked,
  CONTENTS,
  isCut,
  MIME_TYPES,
  NAMES,
  NAMES_IN_KEYS,
  partsOf,
  STRANGE,
  type Step,
  usersInKeys,
  usersOf,
} from './model-steps.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;
/**
 * The clock of a run never stops closer than this to a moment at which an answer changes. Postgres's clock moves on
 * during a run, which takes 1 or 2 s, and must not pass such a moment.
 */
const EDGE_MS = 15_000;

/** Counts of all runs together, for the one line of output. */
export const counts = {
  runs: 0,
  steps: 0,
  puts: 0,
  /** PUTs that began before their URL expired and ended after that. */
  putsLate: 0,
  putsRefused: 0,
  sweeps: 0,
  rowsSwept: 0,
  pagesShort: 0,
  existingTrue: 0,
  answersOwn: 0,
  uploadsKept: 0,
  deletesKept: 0,
  parts: 0,
  partsRefused: 0,
  resumed: 0,
  completed: 0,
  uploadsLost: 0,
  givenUp: 0,
  delivered: 0,
  /** Deliveries of a change that had been delivered before. */
  duplicates: 0,
  acknowledgedLate: 0,
  replayed: 0,
  expirations: 0,
};

interface HandedOut {
  user: string;
  key: string;
  content: string;
  url: string;
  headers: Record<string, string>;
  endMs: number;
}

interface Walk {
  user: string;
  pageSize: number;
  token: string;
  /** The files at the start of the walk. */
  began: Place[];
  seen: Place[];
}

/**
 * A file at its position in the list. A file that is lost and uploaded again gets another position, and
 * counts as another entry.
 */
type Place = ReturnType<typeof placeOf>;
const placeOf = ({ key, lastModifiedMs }: ModelFile) => ({ key, lastModifiedMs });

function fingerprintOf(content: string): string {
  if (!isCut(content)) return md5(content, 'hex');
  return multipartFingerprint(partsOf(content).map((part) => Buffer.from(md5(part), 'base64')));
}

export async function run(world: World, rules: Rules, steps: Step[]): Promise<void> {
  const id = newUser();
  const users = usersOf(id);
  const model = createModel(rules);
  const events = createModelEvents(model);
  const urls: HandedOut[] = [];
  /** All keys that were ever returned, with their users. */
  const owners = new Map<string, string>();
  const underWay: { handed: HandedOut; upload: SlowUpload }[] = [];
  const walks = new Map<string, Walk>();
  /** All acknowledged uploads, kept independently of the model. */
  const uploaded = new Map<string, { user: string; content: string }>();
  const deleted = new Set<string>();
  const trace: string[] = [];

  const check = (holds: boolean, what: string, ...seen: unknown[]) => {
    if (!holds) throw new Error(`${what}${seen.map((each) => `\n  ${JSON.stringify(each)}`).join('')}`);
  };
  const equal = (what: string, is: unknown, ought: unknown) =>
    check(isDeepStrictEqual(is, ought), what, { is }, { ought });
  const pick = <Value>(values: Value[], fromNewest: number): Value | undefined =>
    values.at(-1 - (fromNewest % Math.max(1, values.length)));

  // Three invariants, checked independently of the model.
  async function existingIsTrue(key: string, content: string) {
    const known = [...model.live].find((file) => file.key === key);
    const strangersWork = known !== undefined && !model.holdsRightBytes(known);
    check(
      strangersWork || (await world.object(key)) === content,
      `EXISTING was false: ${key} does not hold it`,
    );
    counts.existingTrue++;
  }
  function isOwn(user: string, key: string) {
    check(owners.get(key) === user, `${user} saw another's row: ${key} is ${owners.get(key) ?? 'no user'}'s`);
    counts.answersOwn++;
  }
  async function nothingAcknowledgedIsLost() {
    for (const [key, { user, content }] of uploaded) {
      // A download verifies the file, and may find that it was uploaded again with another type.
      model.get(user, key, world.now());
      const { download } = await world.download(user, key).catch((error: unknown) => {
        throw new Error(`an acknowledged upload was lost: ${key} of ${user}`, { cause: error });
      });
      const response = await fetch(download.url);
      check((await response.text()) === content, `an acknowledged upload was lost: ${key} has other bytes`);
      counts.uploadsKept++;
    }
    for (const key of deleted) {
      check((await world.object(key)) === undefined, `an acknowledged delete was lost: ${key} is back`);
      counts.deletesKept++;
    }
  }

  /** Returns the answer, or the error as the caller sees it. */
  async function outcome<Answer>(call: Promise<Answer>): Promise<{ answer: Answer } | { refused: Refusal }> {
    try {
      return { answer: await call };
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      const { reason, message, metadata } = error;
      return { refused: { reason, message, metadata } };
    }
  }
  /**
   * The error is the same for another user's key, an unknown key and a deleted file, and repeats only what
   * was sent.
   */
  const notFound = (key: string): Refusal => ({
    reason: 'FILE_NOT_FOUND',
    message: `no file has the key "${key}"`,
    metadata: { s3_key: key },
  });

  function shown(file: ModelFile) {
    return {
      userId: file.user,
      s3Key: file.key,
      filename: file.filename,
      mimeType: file.mimeType,
      fingerprint: fingerprintOf(file.content),
      state: file.state,
      ...(file.state === 'ready' && {
        size: file.content.length,
        etag: fingerprintOf(file.content),
        lastModified: new Date(file.lastModifiedMs),
      }),
    };
  }
  function expectShown(what: string, is: object, file: ModelFile) {
    const ought = shown(file);
    equal(what, Object.fromEntries(Object.keys(ought).map((key) => [key, Reflect.get(is, key)])), ought);
    isOwn(file.user, file.key);
  }

  function creation(step: Asked) {
    const content = CONTENTS[step.content] ?? STRANGE;
    const ask = {
      filename: NAMES[step.name] ?? '',
      mimeType: MIME_TYPES[step.type] ?? '',
      content,
      plainKey: `${usersInKeys(id)[step.user]}_${NAMES_IN_KEYS[step.name]}`,
    };
    const size = { ...(step.tellsSize && { size: BigInt(content.length) }) };
    const request = { ...ask, md5: md5(content), ...size };
    return { step, user: users[step.user] ?? id, content, ask, request };
  }

  async function create(step: Asked): Promise<string> {
    const made = creation(step);
    const rule = model.create(made.user, made.ask, world.now());
    return expectCreated(made, rule, await outcome(world.create(made.user, made.request)));
  }

  /**
   * The answers of a batch are those of creates, one after the other, with one difference: an upload that turns out to
   * be READY may hold a slot until the new uploads have taken theirs. So the requests that answer EXISTING come first
   * here, and a request may be refused if all uploads together reach the limit.
   */
  async function createMany(step: Step & { do: 'create many' }): Promise<string> {
    const made = step.requests.map((request) => creation({ ...request, user: step.user }));
    const user = users[step.user] ?? id;
    const results = await world.createMany(
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
    const before = model.countPending(user, world.now());
    let answered = 0;
    let refused = false;
    const labels: string[] = [];
    /** Files whose upload this batch has begun again. The batch has asked S3 about them once. */
    const begun = new Set<ModelFile>();
    for (const { one, took } of [...all.filter(isExisting), ...all.filter((each) => !isExisting(each))]) {
      const again = [...begun].find(({ content }) => content === one.content);
      const rule: CreateRule = again
        ? { type: 'new', file: again }
        : model.create(user, one.ask, world.now());
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
    if (file && rule.type === 'too many') model.verify(file, world.now());
    isOwn(user, key);
    return `${label}: EXISTING ${key}`;
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
      (url) => url.key === key && world.now() < url.endMs + rules.longestUploadSeconds * 1_000,
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
      Math.abs(endMs - world.now() - rules.urlSeconds * 1_000) <= 1_000,
      'the URL lives as long as it says',
    );
    model.handedOut(user, ask, answer.s3Key, endMs);
    owners.set(answer.s3Key, user);
    isOwn(user, answer.s3Key);
    deleted.delete(answer.s3Key);
    urls.push({ user, key: answer.s3Key, content: ask.content, url, headers, endMs });
  }

  /** S3 has answered 200, so the bytes must stay. */
  function landed({ user, key, content, headers }: HandedOut) {
    counts.puts++;
    const lastModifiedMs = Math.floor(world.now() / 1_000) * 1_000;
    model.bucket.set(key, {
      content,
      mimeType: headers['Content-Type'] ?? '',
      lastModifiedMs,
      stranger: false,
    });
    if (model.fileOf(user, key) !== undefined) uploaded.set(key, { user, content });
  }

  async function put({ url: fromNewest, how }: Step & { do: 'put' }): Promise<string | undefined> {
    const handed = pick(urls, fromNewest);
    if (handed === undefined) return undefined;
    const { key, content, headers, endMs } = handed;
    const bytes = how === 'right' || how === 'other type' ? content : 'x'.repeat(content.length);
    const sent = {
      ...headers,
      ...(how === 'other digest' && { 'Content-MD5': md5(bytes) }),
      ...(how === 'other type' && { 'Content-Type': 'text/html' }),
    };
    const { status } = await putTo(handed.url, sent, bytes);
    const accepted = how === 'right' && world.now() < endMs;
    const label = `PUT ${key} (${how}, ${Math.round((world.now() - endMs) / MINUTE_MS)} min after its end)`;
    check((status === 200) === accepted, `${label}: ${status}`);
    if (accepted) landed(handed);
    else counts.putsRefused++;
    return `${label}: ${status}`;
  }

  async function begin({ url: fromNewest }: Step & { do: 'begin' }): Promise<string | undefined> {
    const handed = pick(urls, fromNewest);
    if (handed === undefined) return undefined;
    const upload = await world.beginPut(handed.url, handed.headers, handed.content);
    check((typeof upload === 'object') === world.now() < handed.endMs, `begin PUT ${handed.key}`, upload);
    if (typeof upload === 'object') underWay.push({ handed, upload });
    else counts.putsRefused++;
    return `begin PUT ${handed.key}: ${typeof upload === 'object' ? 'under way' : upload}`;
  }

  async function land(): Promise<string | undefined> {
    const first = underWay.shift();
    if (first === undefined) return undefined;
    equal(`${first.handed.key} lands`, await first.upload.finish(), 200);
    landed(first.handed);
    if (world.now() > first.handed.endMs) counts.putsLate++;
    return `PUT ${first.handed.key} lands`;
  }

  async function list({ user: index, pageSize, prefix }: Step & { do: 'list' }): Promise<string> {
    const user = users[index] ?? id;
    model.verifyPending(user, prefix, world.now());
    const ought = model.listed(user, prefix);
    const files = [];
    for (let pageToken = ''; ; ) {
      const page = await world.list(user, { pageSize, pageToken, filenamePrefix: prefix });
      files.push(...page.files);
      check(pageSize === 0 || page.files.length <= pageSize, 'a page is larger than asked for');
      if (page.nextPageToken === '') break;
      if (page.files.length < (pageSize || 100)) counts.pagesShort++;
      pageToken = page.nextPageToken;
    }
    const label = `${user} lists "${prefix}*" by ${pageSize}`;
    for (const file of files) isOwn(user, file.s3Key);
    equal(
      label,
      files.map((file) => file.s3Key),
      ought.map((file) => file.key),
    );
    for (const [i, file] of ought.entries()) expectShown(label, files[i] ?? {}, file);
    return `${label}: ${files.length}`;
  }

  /** Reads the next page of a walk that may have begun long ago, or begins a walk. */
  async function page({ user: index, pageSize }: Step & { do: 'page' }): Promise<string> {
    const user = users[index] ?? id;
    const nowMs = world.now();
    let walk = walks.get(user);
    if (walk === undefined) {
      model.verifyPending(user, '', nowMs);
      walk = { user, pageSize, token: '', began: model.listed(user, '').map(placeOf), seen: [] };
      walks.set(user, walk);
    }
    const { files, nextPageToken } = await world.list(user, {
      pageSize: walk.pageSize,
      pageToken: walk.token,
      filenamePrefix: '',
    });
    const label = `${user} reads ${walk.token === '' ? 'a first' : 'the next'} page`;
    for (const file of files) {
      const known = model.fileOf(user, file.s3Key);
      check(known?.state === 'ready', `${label}: ${file.s3Key} is not READY`);
      if (known) expectShown(label, file, known);
      walk.seen.push({ key: file.s3Key, lastModifiedMs: file.lastModified.getTime() });
    }
    walk.token = nextPageToken;
    if (nextPageToken === '') {
      walks.delete(user);
      const names = walk.seen.map((place) => JSON.stringify(place));
      equal(`${label}: a file came twice`, new Set(names).size, names.length);
      const still = new Set(model.listed(user, '').map((file) => JSON.stringify(placeOf(file))));
      const skipped = walk.began
        .map((place) => JSON.stringify(place))
        .filter((place) => still.has(place) && !names.includes(place));
      equal(`${label}: the last page, but files were skipped`, skipped, []);
    }
    return `${label}: ${files.length}`;
  }

  function keyAndUser(step: { key: number; as: 'owner' | 'other' }) {
    const key = pick([...owners.keys()], step.key);
    if (key === undefined) return undefined;
    const owner = owners.get(key) ?? id;
    const other = users[(users.indexOf(owner) + 1) % users.length] ?? id;
    return { key, user: step.as === 'owner' ? owner : other };
  }

  async function get(step: Step & { do: 'get' }): Promise<string | undefined> {
    const of = keyAndUser(step);
    if (of === undefined) return undefined;
    const rule = model.get(of.user, of.key, world.now());
    const took = await outcome(world.get(of.user, of.key));
    const label = `${of.user} gets ${of.key}`;
    if (rule.found !== undefined) {
      check('answer' in took, `${label}: refused`, took, rule);
      if ('answer' in took) expectShown(label, took.answer, rule.found);
      return `${label}: ${rule.found.state}`;
    }
    expectNotFound(label, took, of.key, rule.mismatch);
    return `${label}: ${rule.mismatch ? 'other bytes' : 'not found'}`;
  }

  function expectNotFound(label: string, took: object, key: string, mismatch: boolean) {
    const reason = 'refused' in took ? (took.refused as Refusal).reason : took;
    if (mismatch) equal(label, reason, 'CONTENT_MISMATCH');
    else equal(label, took, { refused: notFound(key) });
  }

  /** Asks for the keys of all users. The answer has the user's own files in the order of the keys. */
  async function getMany(step: Step & { do: 'get many' }): Promise<string | undefined> {
    const user = users[step.user] ?? id;
    const keys = [...owners.keys()];
    if (keys.length === 0) return undefined;
    const found = keys.flatMap((key) => {
      const file = model.fileOf(user, key);
      if (file?.state === 'pending') model.verify(file, world.now());
      return file === undefined || (file.state === 'pending' && file.lost) ? [] : file;
    });
    const { files, unverifiedUploads } = await world.getMany(user, keys);
    const label = `${user} gets ${keys.length} keys`;
    equal(
      `${label}: the keys`,
      files.map(({ s3Key }) => s3Key),
      found.map(({ key }) => key),
    );
    equal(`${label}: unverified`, unverifiedUploads, 0);
    found.forEach((file, index) => {
      expectShown(label, files[index] ?? {}, file);
    });
    return `${label}: ${found.length} found`;
  }

  async function download(step: Step & { do: 'download' }): Promise<string | undefined> {
    const of = keyAndUser(step);
    if (of === undefined) return undefined;
    const rule = model.get(of.user, of.key, world.now());
    const took = await outcome(world.download(of.user, of.key));
    const label = `${of.user} downloads ${of.key}`;
    if (rule.found === undefined) {
      expectNotFound(label, took, of.key, rule.mismatch);
      return `${label}: refused`;
    }
    if (rule.found.state === 'pending') {
      equal(label, 'refused' in took && took.refused.reason, 'UPLOAD_INCOMPLETE');
      return `${label}: incomplete`;
    }
    check('answer' in took, `${label}: refused`, took);
    if (!('answer' in took)) return undefined;
    expectShown(label, took.answer.file, rule.found);
    const response = await fetch(took.answer.download.url);
    const bytes = await response.text();
    const object = model.bucket.get(of.key);
    if (object === undefined) equal(`${label}: within VERIFICATION_TTL_SECONDS`, response.status, 404);
    else equal(`${label}: the bytes`, bytes, object.content);
    return `${label}: ${response.status}`;
  }

  async function remove(step: Step & { do: 'delete' }): Promise<string | undefined> {
    const of = keyAndUser(step);
    if (of === undefined) return undefined;
    const known = model.delete(of.user, of.key, world.now());
    const took = await outcome(world.delete(of.user, of.key));
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
    const swept = await world.sweep();
    counts.sweeps++;
    counts.rowsSwept += swept.length;
    for (const { key, outcome: did } of swept) {
      if (did === 'expired' && isCut([...model.live].find((file) => file.key === key)?.content ?? ''))
        counts.givenUp++;
      const wasLost = [...model.live].find((file) => file.key === key)?.lost === true;
      model.swept(key, did, world.now(), events.due.has(key));
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
      await world.strangerRemoves(key);
      model.bucket.delete(key);
      return `a stranger removes ${key}`;
    }
    const content = CONTENTS[step.content] ?? STRANGE;
    const mimeType = 'application/x-strange';
    await world.strangerWrites(key, content, mimeType);
    const lastModifiedMs = Math.floor(world.now() / 1_000) * 1_000;
    model.bucket.set(key, { content, mimeType, lastModifiedMs, stranger: true });
    deleted.delete(key);
    return `a stranger writes "${content}" into ${key}`;
  }

  const multipart = multipartSteps({
    world,
    rules,
    model,
    users,
    owners,
    uploaded,
    deleted,
    check,
    equal,
    pick,
    outcome,
    isOwn,
    expectTooMany,
    expectExisting,
    expectKey,
    expectNotFound,
    expectShown,
    plainKeyOf: (user, name) => `${usersInKeys(id)[user]}_${NAMES_IN_KEYS[name]}`,
  });

  const consumer = eventSteps({ world, model, events, counts, check, equal, shown });

  const edgesMs = () => [...model.edgesMs(), ...urls.map(({ endMs }) => endMs)];

  async function jumpToEdge(step: Step & { do: 'jump to an edge' }): Promise<string | undefined> {
    const ahead = [...new Set(edgesMs())]
      .filter((edge) => edge > world.now() + 2 * MINUTE_MS)
      .sort((a, b) => a - b);
    const edge = ahead[step.edge % Math.max(1, ahead.length)];
    if (edge === undefined) return undefined;
    const label = await jump((edge - world.now()) / MINUTE_MS + (step.side === 'after' ? 1 : -1));
    return step.andSweep ? `${label}; ${await sweep()}` : label;
  }

  async function jump(minutes: number): Promise<string> {
    let untilMs = world.now() + minutes * MINUTE_MS;
    while (edgesMs().some((edge) => Math.abs(edge - untilMs) < EDGE_MS)) untilMs += EDGE_MS;
    // No PUT takes longer than LONGEST_UPLOAD_SECONDS.
    for (const late of underWay.filter(
      ({ handed }) => untilMs > handed.endMs + rules.longestUploadSeconds * 1_000 - EDGE_MS,
    )) {
      late.upload.abort();
      underWay.splice(underWay.indexOf(late), 1);
    }
    await world.jump(untilMs - world.now());
    return `${Math.round(minutes)} minutes pass`;
  }

  async function upload(step: Step & { do: 'upload' }): Promise<string> {
    const asked = urls.length;
    const label = await create(step);
    return urls.length === asked ? label : `${label}; ${await put({ do: 'put', url: 0, how: 'right' })}`;
  }

  const takers: { [Do in Step['do']]: (step: Step & { do: Do }) => Promise<string | undefined> } = {
    create,
    'create many': createMany,
    upload,
    put,
    begin,
    land,
    'begin parts': multipart.begin,
    'send part': multipart.send,
    'send the rest': multipart.sendTheRest,
    complete: multipart.complete,
    'S3 loses the upload': multipart.lose,
    list,
    page,
    get,
    'get many': getMany,
    download,
    delete: remove,
    sweep,
    'claim and die': async () => `a sweeper dies with ${await world.claimAndDie()} rows`,
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

  /** Lets a long time pass, and checks that everything has been cleaned up without an operator. */
  async function end(): Promise<void> {
    for (const { upload } of underWay.splice(0)) upload.abort();
    walks.clear();
    trace.push(await jump(rules.urlSeconds / 60 + 1));
    for (const { url, headers, content } of urls.slice(-8)) {
      equal('a URL after its end', (await putTo(url, headers, content)).status, 403);
    }
    await settle();
    // A read of a file whose object a stranger has overwritten finds the mismatch. Then the row is no longer
    // READY.
    const damaged = [...model.live].filter((file) => file.state === 'ready' && !model.holdsRightBytes(file));
    for (const { user, key } of damaged) {
      model.get(user, key, world.now());
      await outcome(world.get(user, key));
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
      await world.strangerRemoves(key);
      model.bucket.delete(key);
    }
    await settle();
    await tableAndBucketAgree();
  }

  async function settle() {
    // A week and a day; an upload that expires then leaves a tombstone for another day.
    for (const days of [9, 2]) {
      trace.push(await jump((days * DAY_MS) / MINUTE_MS));
      events.observe();
      trace.push(await consumer.deliverAll());
      trace.push(await sweep());
    }
    events.observe();
    trace.push(await consumer.deliverAll());
    // Rescheduled rows are not due again at once.
    equal('a second sweep finds nothing due', (await world.sweep()).length, 0);
  }

  async function tableAndBucketAgree() {
    equal('no tombstone is left', [...model.tombstones.keys()], []);
    const [rows, objects] = await Promise.all([world.rows(), world.objects(id)]);
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
      (await world.uploads(id)).sort(),
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

  await world.reset();
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
      equal('no error was hidden from the caller', world.errors, []);
    }
    trace.push('the end:');
    await end();
    equal('no error was hidden from the caller', world.errors, []);
  } catch (error) {
    for (const { upload } of underWay) upload.abort();
    const lines = trace.map((line) => `  ${line.replaceAll(id, 'u')}`).join('\n');
    throw new Error(`${(error as Error).message.replaceAll(id, 'u')}\n after\n${lines}`, { cause: error });
  }
}
