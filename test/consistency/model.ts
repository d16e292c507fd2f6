/**
 * The rules of the service in memory, without SQL and without S3: what each user must see. The model is told
 * what was done and when, and computes the right answer of the service. It is written from the rules and not
 * from the code.
 */
import { isCut } from './model-steps.ts';

/** The lifetimes of the service, and the limits of pending uploads. */
export interface Rules {
  urlSeconds: number;
  multipartSeconds: number;
  verificationTtlSeconds: number;
  longestUploadSeconds: number;
  pendingMax: number;
  pendingMultipartMax: number;
  /** How many files a page of a prefix examines. */
  examinedMax: number;
}

export interface ModelFile {
  readonly user: string;
  readonly key: string;
  readonly content: string;
  filename: string;
  mimeType: string;
  state: 'pending' | 'ready';
  /** Creates announced different types. */
  typeChanged: boolean;
  /** The file was READY, and its bytes were lost. */
  lost: boolean;
  seenMs: number;
  lastModifiedMs: number;
  urlsEndMs: number;
  /** For multipart uploads: the uploaded parts, and whether S3 still has the upload. */
  parts?: { landed: Set<number>; open: boolean } | undefined;
  /**
   * When the upload was last requested. An answer without a URL may keep the row as long as an answer with a
   * URL.
   */
  askedMs: number;
}

interface ModelObject {
  content: string;
  mimeType: string;
  lastModifiedMs: number;
  /** The object was written by a stranger, who is not a user of the service. */
  stranger: boolean;
}

export interface Ask {
  filename: string;
  mimeType: string;
  content: string;
  plainKey: string;
}

export type CreateRule =
  | { type: 'existing'; file: ModelFile }
  | { type: 'new'; file: ModelFile }
  /** A new file. `plainKey` says whether its key must be the plain one. */
  | { type: 'new'; file: undefined; plainKey: 'yes' | 'no' | 'either' }
  /** The limit is reached. If the bytes have arrived in the meantime, both answers are right. */
  | { type: 'too many'; arrived: ModelFile | undefined };

type GetRule = { found: ModelFile } | { found: undefined; mismatch: boolean };

interface Tombstone {
  urlsEndMs: number;
  keptMs: number;
  /** The upload at its cancellation. A pending upload counts until its URLs have expired. */
  cancelled?: ModelFile;
  /** The file was lost and has expired. Its object stays if it comes back. */
  lost?: boolean;
}

export type Outcome = 'verified' | 'rescheduled' | 'expired' | 'purged' | 'cleaned';

export type Model = ReturnType<typeof createModel>;

export function createModel(rules: Rules) {
  const live = new Set<ModelFile>();
  const tombstones = new Map<string, Tombstone>();
  const bucket = new Map<string, ModelObject>();

  const fileOf = (user: string, key: string) =>
    [...live].find((file) => file.user === user && file.key === key);
  const contentOf = (user: string, content: string) =>
    [...live].find((file) => file.user === user && file.content === content);
  const isFresh = (file: ModelFile, nowMs: number) =>
    file.state === 'ready' && nowMs < file.seenMs + rules.verificationTtlSeconds * 1_000;
  const purgeable = (urlsEndMs: number, nowMs: number) =>
    nowMs >= urlsEndMs + rules.longestUploadSeconds * 1_000;
  const holdsRightBytes = (file: ModelFile) => bucket.get(file.key)?.content === file.content;
  /** Only before a file is READY for the first time, another type than the announced one shows another writer. */
  const holdsFile = (file: ModelFile) =>
    holdsRightBytes(file) &&
    (file.state === 'ready' ||
      file.lost ||
      file.typeChanged ||
      bucket.get(file.key)?.mimeType === file.mimeType);

  /** Verifies the file in the bucket. */
  function verify(file: ModelFile, nowMs: number): 'verified' | 'mismatch' | 'missing' {
    const object = bucket.get(file.key);
    if (object !== undefined && holdsFile(file)) {
      // A READY file keeps its position in the list.
      if (file.state === 'pending') file.lastModifiedMs = object.lastModifiedMs;
      Object.assign(file, { state: 'ready', lost: false, mimeType: object.mimeType, seenMs: nowMs });
      if (file.parts) file.parts = { landed: new Set(), open: false };
      return 'verified';
    }
    if (file.state === 'ready') {
      Object.assign(file, { state: 'pending', lost: true, urlsEndMs: Math.max(file.urlsEndMs, nowMs) });
    }
    return object === undefined ? 'missing' : 'mismatch';
  }

  function plainKeyRule(key: string, nowMs: number): 'yes' | 'no' | 'either' {
    if ([...live].some((file) => file.key === key)) return 'no';
    const tombstone = tombstones.get(key);
    if (tombstone === undefined) return 'yes';
    return purgeable(tombstone.urlsEndMs, nowMs) ? 'either' : 'no';
  }

  /** The uploads of one kind that count towards the user's limit. */
  function counted(user: string, cut: boolean, nowMs: number): ModelFile[] {
    const pending = [...live].filter((each) => each.state === 'pending' && !each.lost);
    const cancelled = [...tombstones.values()].flatMap((tombstone) =>
      tombstone.cancelled ? { ...tombstone.cancelled, urlsEndMs: tombstone.urlsEndMs } : [],
    );
    return [...pending, ...cancelled]
      .filter((each) => each.user === user && isCut(each.content) === cut)
      .filter((each) => each.urlsEndMs > nowMs);
  }

  return {
    live,
    bucket,
    tombstones,
    fileOf,
    isFresh,
    holdsRightBytes,
    holdsFile,

    /** How many pending uploads with a single PUT the user has. */
    countPending: (user: string, nowMs: number) => counted(user, false, nowMs).length,

    create(user: string, { content, plainKey }: Ask, nowMs: number): CreateRule {
      const file = contentOf(user, content);
      if (file !== undefined) file.askedMs = nowMs;
      if (file?.state === 'ready' && (isFresh(file, nowMs) || verify(file, nowMs) === 'verified')) {
        return { type: 'existing', file };
      }
      const others = counted(user, isCut(content), nowMs).filter((each) => each !== file);
      if (others.length >= (isCut(content) ? rules.pendingMultipartMax : rules.pendingMax)) {
        return { type: 'too many', arrived: file && holdsFile(file) ? file : undefined };
      }
      if (file === undefined)
        return { type: 'new', file: undefined, plainKey: plainKeyRule(plainKey, nowMs) };
      return verify(file, nowMs) === 'verified' ? { type: 'existing', file } : { type: 'new', file };
    },

    /** Records that the service answered NEW with a URL that is valid until `urlEndMs`. */
    handedOut(user: string, ask: Ask, key: string, urlEndMs: number): ModelFile {
      const { filename, mimeType, content } = ask;
      let file = contentOf(user, content);
      if (file === undefined) {
        const never = { seenMs: Number.NEGATIVE_INFINITY, lastModifiedMs: 0, urlsEndMs: 0, askedMs: 0 };
        file = {
          user,
          key,
          content,
          filename,
          mimeType,
          state: 'pending',
          lost: false,
          typeChanged: false,
          ...never,
        };
        live.add(file);
        // If the key is given again, its tombstone must have been purged.
        tombstones.delete(key);
      }
      const typeChanged = file.typeChanged || file.mimeType !== mimeType;
      const urlsEndMs = Math.max(file.urlsEndMs, urlEndMs);
      Object.assign(file, { filename, mimeType, typeChanged, lost: false, urlsEndMs });
      return file;
    },

    /** Starts the lifetime of a multipart upload again. */
    renew(file: ModelFile, nowMs: number): void {
      file.urlsEndMs = Math.max(file.urlsEndMs, nowMs + rules.multipartSeconds * 1_000);
      file.askedMs = nowMs;
    },

    verify,

    /** Verifies the pending files, as a first page does. */
    verifyPending(user: string, prefix: string, nowMs: number): void {
      for (const file of live) {
        if (file.user === user && file.state === 'pending' && file.filename.startsWith(prefix)) {
          verify(file, nowMs);
        }
      }
    },

    /** READY files, newest first. Files of the same second are ordered by key. */
    listed(user: string, prefix: string): ModelFile[] {
      return [...live]
        .filter((file) => file.user === user && file.state === 'ready' && file.filename.startsWith(prefix))
        .sort((a, b) => b.lastModifiedMs - a.lastModifiedMs || (a.key < b.key ? 1 : -1));
    },

    get(user: string, key: string, nowMs: number): GetRule {
      const file = fileOf(user, key);
      if (file === undefined) return { found: undefined, mismatch: false };
      if (isFresh(file, nowMs)) return { found: file };
      const wasReady = file.state === 'ready';
      const seen = verify(file, nowMs);
      if (seen === 'mismatch') return { found: undefined, mismatch: true };
      if (seen === 'missing' && (wasReady || file.lost)) return { found: undefined, mismatch: false };
      return { found: file };
    },

    delete(user: string, key: string, nowMs: number): boolean {
      const file = fileOf(user, key);
      if (file === undefined) return false;
      live.delete(file);
      const urlMs = rules.urlSeconds * 1_000;
      const lifeMs = file.parts ? rules.multipartSeconds * 1_000 : urlMs;
      // The delete counts like a URL that expired at that moment. A multipart upload is kept for a week, but
      // the URLs of its parts expire earlier.
      const after = (endMs: number) => Math.max(nowMs, file.parts ? Math.min(endMs, nowMs + urlMs) : endMs);
      tombstones.set(key, {
        urlsEndMs: after(file.urlsEndMs),
        keptMs: after(Math.max(file.urlsEndMs, file.askedMs + lifeMs)),
        ...(file.state === 'pending' && !file.lost && { cancelled: file }),
      });
      bucket.delete(key);
      return true;
    },

    /**
     * Applies what the sweeper reports.
     *
     * @param isEventDue whether the consumer of events has not acknowledged the last change of the file. A tombstone
     *   then stays
     * @throws if the rules do not allow that
     */
    swept(key: string, outcome: Outcome, nowMs: number, isEventDue = false): void {
      const file = [...live].find((each) => each.key === key);
      const tombstone = tombstones.get(key);
      const must = (allowed: boolean | undefined, rule: string) => {
        if (!allowed) throw new Error(`the sweeper reports ${outcome} for ${key}: ${rule}`);
      };
      if (tombstone !== undefined) {
        if (!tombstone.lost) bucket.delete(key);
        if (outcome === 'purged') {
          must(purgeable(tombstone.urlsEndMs, nowMs), 'a URL may still write to it');
          tombstones.delete(key);
        } else
          must(
            outcome === 'rescheduled' && (isEventDue || !purgeable(tombstone.keptMs, nowMs)),
            'a tombstone is kept for ever',
          );
        return;
      }
      must(file !== undefined, 'no such file exists');
      if (file === undefined) return;
      if (file.state === 'ready') {
        must(file.parts !== undefined && outcome === 'cleaned', 'the sweeper must not touch a READY file');
        return;
      }
      const seen = verify(file, nowMs);
      if (outcome === 'verified') must(seen === 'verified', 'the bucket does not have the bytes');
      else if (outcome === 'expired') {
        must(seen === 'missing', 'the bucket has an object');
        must(purgeable(file.urlsEndMs, nowMs), 'a URL may still write to it');
        live.delete(file);
        // An expired multipart upload leaves a tombstone, like a delete, and so does a lost file.
        if (file.parts || file.lost)
          tombstones.set(key, { urlsEndMs: nowMs, keptMs: nowMs, lost: file.lost });
      } else {
        must(outcome === 'rescheduled' && seen !== 'verified', 'the bucket has the bytes');
      }
    },

    /**
     * Moments at which an answer changes. The model's clock never stops close to such a moment, because
     * Postgres's clock keeps running.
     */
    edgesMs(): number[] {
      const ofUrls = (endMs: number) => [endMs, endMs + rules.longestUploadSeconds * 1_000];
      return [
        ...[...live].flatMap((file) => [
          ...ofUrls(file.urlsEndMs),
          file.seenMs + rules.verificationTtlSeconds * 1_000,
        ]),
        ...[...tombstones.values()].flatMap(({ urlsEndMs, keptMs }) => [
          ...ofUrls(urlsEndMs),
          ...ofUrls(keptMs),
        ]),
      ];
    },
  };
}
