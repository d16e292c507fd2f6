/**
 * What each user must see: the rules of the service in memory, without SQL and
 * without S3. It is told what was done and what time it was, and answers what
 * the service has to answer. Written from the rules, not from the code.
 */
import { isCut } from './model-steps.ts';

/** The lifetimes of the protocol, and the cap on pending uploads. */
export interface Rules {
  urlSeconds: number;
  multipartSeconds: number;
  verificationTtlSeconds: number;
  longestUploadSeconds: number;
  pendingMax: number;
  pendingMultipartMax: number;
  /** Files that a page of a prefix walks through. */
  examinedMax: number;
}

export interface ModelFile {
  readonly user: string;
  readonly key: string;
  readonly content: string;
  filename: string;
  mimeType: string;
  state: 'pending' | 'ready';
  /** It was READY, and its bytes were found gone. */
  lost: boolean;
  seenMs: number;
  lastModifiedMs: number;
  urlsEndMs: number;
  /** Of an upload in parts: what has landed of it; S3 may have lost it. */
  parts?: { landed: Set<number>; open: boolean } | undefined;
  /** When it was last asked for; an answer without a URL may keep the row as long as one with. */
  askedMs: number;
}

export interface ModelObject {
  content: string;
  mimeType: string;
  lastModifiedMs: number;
  /** Somebody else than the service's users wrote it. */
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
  /** A file that was not there: is its key the plain one? */
  | { type: 'new'; file: undefined; plainKey: 'yes' | 'no' | 'either' }
  /** At the cap. Where the bytes have come meanwhile, either answer is true. */
  | { type: 'too many'; arrived: ModelFile | undefined };

export type GetRule = { found: ModelFile } | { found: undefined; mismatch: boolean };

interface Tombstone {
  urlsEndMs: number;
  keptMs: number;
  /** What it was when it was cancelled: pending, so it counts for as long as its URLs live. */
  cancelled?: ModelFile;
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
  const settled = (urlsEndMs: number, nowMs: number) =>
    nowMs >= urlsEndMs + rules.longestUploadSeconds * 1_000;
  const holdsRightBytes = (file: ModelFile) => bucket.get(file.key)?.content === file.content;

  /** Somebody looks into the bucket for this file. */
  function look(file: ModelFile, nowMs: number): 'bytes' | 'other bytes' | 'nothing' {
    const object = bucket.get(file.key);
    if (object !== undefined && holdsRightBytes(file)) {
      // A READY file keeps its place in the list.
      if (file.state === 'pending') file.lastModifiedMs = object.lastModifiedMs;
      Object.assign(file, { state: 'ready', lost: false, mimeType: object.mimeType, seenMs: nowMs });
      if (file.parts) file.parts = { landed: new Set(), open: false };
      return 'bytes';
    }
    if (file.state === 'ready') {
      Object.assign(file, { state: 'pending', lost: true, urlsEndMs: Math.max(file.urlsEndMs, nowMs) });
    }
    return object === undefined ? 'nothing' : 'other bytes';
  }

  function plainKeyRule(key: string, nowMs: number): 'yes' | 'no' | 'either' {
    if ([...live].some((file) => file.key === key)) return 'no';
    const tombstone = tombstones.get(key);
    if (tombstone === undefined) return 'yes';
    return settled(tombstone.urlsEndMs, nowMs) ? 'either' : 'no';
  }

  return {
    live,
    bucket,
    tombstones,
    fileOf,
    isFresh,
    holdsRightBytes,

    create(user: string, { content, plainKey }: Ask, nowMs: number): CreateRule {
      const file = contentOf(user, content);
      if (file !== undefined) file.askedMs = nowMs;
      if (file?.state === 'ready' && (isFresh(file, nowMs) || look(file, nowMs) === 'bytes')) {
        return { type: 'existing', file };
      }
      const pending = [...live].filter((each) => each !== file && each.state === 'pending' && !each.lost);
      const cancelled = [...tombstones.values()].flatMap((tombstone) =>
        tombstone.cancelled ? { ...tombstone.cancelled, urlsEndMs: tombstone.urlsEndMs } : [],
      );
      const others = [...pending, ...cancelled]
        .filter((each) => each.user === user && isCut(each.content) === isCut(content))
        .filter((each) => each.urlsEndMs > nowMs);
      if (others.length >= (isCut(content) ? rules.pendingMultipartMax : rules.pendingMax)) {
        return { type: 'too many', arrived: file && holdsRightBytes(file) ? file : undefined };
      }
      if (file === undefined)
        return { type: 'new', file: undefined, plainKey: plainKeyRule(plainKey, nowMs) };
      return look(file, nowMs) === 'bytes' ? { type: 'existing', file } : { type: 'new', file };
    },

    /** The service has answered NEW, with a URL that lives until then. */
    handedOut(user: string, ask: Ask, key: string, urlEndMs: number): ModelFile {
      const { filename, mimeType, content } = ask;
      let file = contentOf(user, content);
      if (file === undefined) {
        const never = { seenMs: Number.NEGATIVE_INFINITY, lastModifiedMs: 0, urlsEndMs: 0, askedMs: 0 };
        file = { user, key, content, filename, mimeType, state: 'pending', lost: false, ...never };
        live.add(file);
        // A forgotten tombstone may be found out by its key being given again.
        tombstones.delete(key);
      }
      Object.assign(file, { filename, mimeType, lost: false, urlsEndMs: Math.max(file.urlsEndMs, urlEndMs) });
      return file;
    },

    /** An upload in parts is kept for as long again. */
    renew(file: ModelFile, nowMs: number): void {
      file.urlsEndMs = Math.max(file.urlsEndMs, nowMs + rules.multipartSeconds * 1_000);
      file.askedMs = nowMs;
    },

    look,

    /** The first page looks at what is pending. */
    lookAtPending(user: string, prefix: string, nowMs: number): void {
      for (const file of live) {
        if (file.user === user && file.state === 'pending' && file.filename.startsWith(prefix)) {
          look(file, nowMs);
        }
      }
    },

    /** READY files, newest first; the key decides among those of one second. */
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
      const seen = look(file, nowMs);
      if (seen === 'other bytes') return { found: undefined, mismatch: true };
      if (seen === 'nothing' && (wasReady || file.lost)) return { found: undefined, mismatch: false };
      return { found: file };
    },

    delete(user: string, key: string, nowMs: number): boolean {
      const file = fileOf(user, key);
      if (file === undefined) return false;
      live.delete(file);
      const urlMs = rules.urlSeconds * 1_000;
      const lifeMs = file.parts ? rules.multipartSeconds * 1_000 : urlMs;
      // The delete counts like a URL that ended then. An upload in parts is kept for a week; the URLs of its parts die sooner.
      const after = (endMs: number) => Math.max(nowMs, file.parts ? Math.min(endMs, nowMs + urlMs) : endMs);
      tombstones.set(key, {
        urlsEndMs: after(file.urlsEndMs),
        keptMs: after(Math.max(file.urlsEndMs, file.askedMs + lifeMs)),
        ...(file.state === 'pending' && !file.lost && { cancelled: file }),
      });
      bucket.delete(key);
      return true;
    },

    /** What the sweeper says that it did, as far as the rules allow it. @throws where they do not */
    swept(key: string, outcome: Outcome, nowMs: number): void {
      const file = [...live].find((each) => each.key === key);
      const tombstone = tombstones.get(key);
      const must = (allowed: boolean | undefined, rule: string) => {
        if (!allowed) throw new Error(`the sweeper says ${outcome} of ${key}: ${rule}`);
      };
      if (tombstone !== undefined) {
        bucket.delete(key);
        if (outcome === 'purged') {
          must(settled(tombstone.urlsEndMs, nowMs), 'a URL may still write to it');
          tombstones.delete(key);
        } else
          must(
            outcome === 'rescheduled' && !settled(tombstone.keptMs, nowMs),
            'a tombstone is kept for ever',
          );
        return;
      }
      must(file !== undefined, 'there is no such file');
      if (file === undefined) return;
      if (file.state === 'ready') {
        must(file.parts !== undefined && outcome === 'cleaned', 'READY is not for the sweeper');
        return;
      }
      const seen = look(file, nowMs);
      if (outcome === 'verified') must(seen === 'bytes', 'the bytes are not there');
      else if (outcome === 'expired') {
        must(seen === 'nothing', 'something is there');
        must(settled(file.urlsEndMs, nowMs), 'a URL may still write to it');
        live.delete(file);
        // Given up: as if somebody had deleted it.
        if (file.parts) tombstones.set(key, { urlsEndMs: nowMs, keptMs: nowMs });
      } else {
        must(outcome === 'rescheduled' && seen !== 'bytes', 'the bytes are there');
      }
    },

    /** Moments at which an answer changes. The clock never stops close to one: Postgres's goes on by itself. */
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
