/** The state of one run, which all of its steps share, and the checks of their answers. */
import { isDeepStrictEqual } from 'node:util';
import { FileError } from '../../src/files/file-error.ts';
import { multipartFingerprint } from '../../src/files/rules/fingerprint.ts';
import { md5, newUser } from '../harness/random.ts';
import { createModel, type ModelFile, type Rules } from './model.ts';
import { createModelEvents } from './model-events.ts';
import type { ModelFixture, SlowUpload } from './model-fixture.ts';
import { isCut, NAMES_IN_KEYS, partsOf, usersInKeys, usersOf } from './model-steps.ts';

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

export interface Refusal {
  reason: string;
  message: string;
  metadata: Record<string, string>;
}

export interface HandedOut {
  user: string;
  key: string;
  content: string;
  url: string;
  headers: Record<string, string>;
  endMs: number;
}

function fingerprintOf(content: string): string {
  if (!isCut(content)) return md5(content, 'hex');
  return multipartFingerprint(partsOf(content).map((part) => Buffer.from(md5(part), 'base64')));
}

export type Run = ReturnType<typeof openRun>;

export function openRun(fixture: ModelFixture, rules: Rules) {
  const id = newUser();
  const users = usersOf(id);
  const model = createModel(rules);
  const events = createModelEvents(model);
  const urls: HandedOut[] = [];
  /** All keys that were ever returned, with their users. */
  const owners = new Map<string, string>();
  /** PUTs that have begun and not ended. */
  const underWay: { handed: HandedOut; upload: SlowUpload }[] = [];
  /** All acknowledged uploads, kept independently of the model. */
  const uploaded = new Map<string, { user: string; content: string }>();
  const deleted = new Set<string>();

  const check = (holds: boolean, what: string, ...seen: unknown[]) => {
    if (!holds) throw new Error(`${what}${seen.map((each) => `\n  ${JSON.stringify(each)}`).join('')}`);
  };
  const equal = (what: string, is: unknown, ought: unknown) =>
    check(isDeepStrictEqual(is, ought), what, { is }, { ought });
  const pick = <Value>(values: Value[], fromNewest: number): Value | undefined =>
    values.at(-1 - (fromNewest % Math.max(1, values.length)));

  /** Checked independently of the model: no call shows another user's row. */
  function isOwn(user: string, key: string) {
    check(owners.get(key) === user, `${user} saw another's row: ${key} is ${owners.get(key) ?? 'no user'}'s`);
    counts.answersOwn++;
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

  function expectNotFound(label: string, took: object, key: string, mismatch: boolean) {
    const reason = 'refused' in took ? (took.refused as Refusal).reason : took;
    if (mismatch) equal(label, reason, 'CONTENT_MISMATCH');
    else equal(label, took, { refused: notFound(key) });
  }

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

  function keyAndUser(step: { key: number; as: 'owner' | 'other' }) {
    const key = pick([...owners.keys()], step.key);
    if (key === undefined) return undefined;
    const owner = owners.get(key) ?? id;
    const other = users[(users.indexOf(owner) + 1) % users.length] ?? id;
    return { key, user: step.as === 'owner' ? owner : other };
  }

  const plainKeyOf = (user: number, name: number) => `${usersInKeys(id)[user]}_${NAMES_IN_KEYS[name]}`;

  return {
    ...{ fixture, rules, id, users, model, events },
    ...{ urls, owners, underWay, uploaded, deleted },
    ...{
      check,
      equal,
      pick,
      isOwn,
      outcome,
      notFound,
      expectNotFound,
      shown,
      expectShown,
      keyAndUser,
      plainKeyOf,
    },
  };
}
