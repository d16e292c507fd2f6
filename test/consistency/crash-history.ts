import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { LEAST_PART_BYTES } from '../harness/bucket.ts';
import { ampleCall } from '../harness/deadline.ts';
import { putTo } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import { type Deed, newestOf, type TakenEvent, wrongOf } from './crash-consumer.ts';
import type { CrashFixture } from './crash-fixture.ts';
import type { Answer, Ask, Content, CutContent } from './crash-ports.ts';

/** A URL that a client holds, with the bytes that the URL is for. */
interface Handed {
  content: Content;
  url: string;
  headers: Record<string, string>;
}

export function content(filename: string, bytes: string): Content {
  return { filename, bytes, md5: md5(bytes) };
}

/** Content that is cut into three parts. */
export function cut(filename: string, bytes: string): CutContent {
  const part = (number: number) => `${number}${bytes}`.repeat(LEAST_PART_BYTES).slice(0, LEAST_PART_BYTES);
  return { filename, parts: [part(1), part(2), 'end'] };
}

/** A multipart upload, as its client knows it. */
interface Upload {
  content: CutContent;
  /** The parts that S3 has acknowledged with 200. */
  landed: Set<number>;
  /** S3 has lost the upload without the service's knowledge. */
  lost: boolean;
}

/**
 * One user, and everything that this user's clients have been answered. Every answer is checked against this
 * history when it arrives, and the history determines which files must exist at the end.
 */
export class History {
  readonly user: string;
  readonly wrong: string[] = [];
  readonly #fixture: CrashFixture;
  readonly #handed = new Map<string, Handed>();
  /**
   * By key: the last acknowledgement, by a 200 of S3 or an OK of the service. A deleted key stays deleted.
   */
  readonly #acknowledged = new Map<string, 'uploaded' | 'deleted'>();
  /** By key: all that was ever done. It says which events may come. */
  readonly #deeds = new Map<string, Set<Deed>>();
  readonly #uploads = new Map<string, Upload>();
  /** No call has renewed the uploads for a week and a day: the sweeper may expire them. */
  #outlived = false;

  constructor(fixture: CrashFixture, user: string) {
    this.#fixture = fixture;
    this.user = user;
  }

  /** The keys of the files that must exist. No other file of the user may exist. */
  uploaded(): string[] {
    return [...this.#acknowledged].filter(([, how]) => how === 'uploaded').map(([key]) => key);
  }

  /** Calls the living instance and checks its answer. */
  async ask(ask: Ask): Promise<Answer> {
    const answer = await this.#fixture.ports.perform(this.user, ask);
    await this.hear(ask, answer, 'alone');
    return answer;
  }

  /** Creates an upload that must be NEW and returns its key. */
  async announce(content: Content): Promise<string> {
    const answer = await this.ask({ method: 'create', content });
    if (answer.heard !== 'NEW')
      throw new Error(`the answer to a create is not NEW: ${JSON.stringify(answer)}`);
    return answer.s3Key;
  }

  async announceAndPut(content: Content): Promise<string> {
    const s3Key = await this.announce(content);
    await this.put(s3Key);
    return s3Key;
  }

  /** Uploads with the newest URL for the key. */
  async put(s3Key: string): Promise<void> {
    const handed = this.#handed.get(s3Key);
    if (handed === undefined) throw new Error(`no URL for ${s3Key}`);
    const { status, body } = await putTo(handed.url, handed.headers, handed.content.bytes);
    if (status !== 200) throw new Error(`the PUT of ${s3Key} was answered with ${status} ${body}`);
    // After a delete this PUT changes nothing.
    this.made(s3Key);
  }

  /** Begins a multipart upload that must be new and returns its key. */
  async begin(content: CutContent): Promise<string> {
    const answer = await this.ask({ method: 'begin', content });
    if (answer.heard !== 'UPLOAD')
      throw new Error(`the answer to a begin is not UPLOAD: ${JSON.stringify(answer)}`);
    return answer.s3Key;
  }

  /**
   * Sends the parts if the file is still pending.
   *
   * @returns whether S3 has accepted the parts
   */
  async putParts(s3Key: string, partNumbers: number[]): Promise<boolean> {
    if (partNumbers.length === 0) return true;
    const answer = await this.ask({ method: 'presign', s3Key, partNumbers });
    const upload = this.#uploads.get(s3Key);
    if (answer.heard !== 'parts' || upload === undefined) return false;
    for (const { number, url, requiredHeaders } of answer.urls) {
      const bytes = upload.content.parts[number - 1] ?? '';
      const { status, body } = await putTo(url, requiredHeaders, bytes);
      // The answer with URLs does not say that S3 has lost or completed the upload; the next begin does.
      if (status === 404 && (upload.lost || this.#acknowledged.get(s3Key) === 'uploaded')) return false;
      if (status !== 200) throw new Error(`part ${number} of ${s3Key} was answered with ${status} ${body}`);
      upload.landed.add(number);
    }
    return true;
  }

  /** Uploads the content as another client does, from begin to complete. */
  async uploadMultipart(content: CutContent): Promise<void> {
    const answer = await this.ask({ method: 'begin', content });
    if (answer.heard === 'UPLOAD') await this.#finish(answer.s3Key, answer.missing);
  }

  /** Continues as a client that was answered NEW. */
  async goOn(s3Key: string): Promise<void> {
    const upload = this.#uploads.get(s3Key);
    if (upload === undefined) return this.put(s3Key);
    await this.#finish(s3Key, missingOf(upload));
  }

  async #finish(s3Key: string, missing: number[]): Promise<void> {
    if (await this.putParts(s3Key, missing)) await this.ask({ method: 'complete', s3Key });
  }

  /** Records that S3 holds the object. */
  made(s3Key: string): void {
    if (this.#acknowledged.get(s3Key) === 'deleted') return;
    this.#acknowledged.set(s3Key, 'uploaded');
    this.#deedsOf(s3Key).add('uploaded');
  }

  /** Uploads the missing parts and completes the upload in S3, as a process does that is killed before it answers. */
  async makeInBucket(s3Key: string, content: CutContent): Promise<void> {
    const answer = await this.ask({ method: 'begin', content });
    if (answer.heard !== 'UPLOAD' || answer.s3Key !== s3Key) return;
    if (await this.putParts(s3Key, answer.missing)) await this.completeInBucket(s3Key);
  }

  /** Completes the upload in S3, as a process does that is killed before it commits the file as READY. */
  async completeInBucket(s3Key: string): Promise<void> {
    const { multipart } = this.#fixture.ports;
    const [call, key] = [ampleCall(this.user), parseS3Key(s3Key)];
    const [uploadId = ''] = await multipart.uploadsOf(call, key);
    const parts = (await multipart.parts(call, key, uploadId)) ?? [];
    await multipart.complete(call, key, uploadId, parts);
    this.made(s3Key);
  }

  /** Aborts the uploads in S3 without the service. */
  async abortInBucket(s3Key: string): Promise<void> {
    const { multipart } = this.#fixture.ports;
    const [call, key] = [ampleCall(this.user), parseS3Key(s3Key)];
    for (const id of await multipart.uploadsOf(call, key)) await multipart.abort(call, key, id);
    const upload = this.#uploads.get(s3Key);
    if (upload === undefined) return;
    upload.landed.clear();
    upload.lost = true;
  }

  /** Begins an upload in S3 that no row names, as a process leaves it that is killed right after the begin. */
  async beginInBucket(s3Key: string): Promise<void> {
    await this.#fixture.ports.multipart.begin(ampleCall(this.user), parseS3Key(s3Key), 'video/mp4');
  }

  /** Lets all URLs expire and all uploads end. */
  async outlive(): Promise<void> {
    this.#outlived = true;
    await this.change(`url_expire_at = now() - interval '25 hours'`);
  }

  /** Writes an object that has no row, as after a restore of an older table. */
  async putWithoutRow({ filename, bytes }: Content): Promise<string> {
    const s3Key = `${this.user}_${filename}`;
    await this.#fixture.bucket.write(s3Key, bytes);
    return s3Key;
  }

  /** Commits a delete as an instance does that is killed right after the commit. */
  async deleteAndDie(s3Key: string): Promise<void> {
    const { store } = this.#fixture.ports;
    if (await store.markDeleted(ampleCall(this.user), parseS3Key(s3Key))) this.deleted(s3Key);
  }

  deleted(s3Key: string): void {
    this.#acknowledged.set(s3Key, 'deleted');
    this.#deedsOf(s3Key).add('deleted');
  }

  /** Removes the object from the bucket without the service. */
  async removeObject(s3Key: string): Promise<void> {
    await this.#fixture.bucket.remove(s3Key);
    this.#acknowledged.delete(s3Key);
    this.#deedsOf(s3Key).add('removed from the bucket');
  }

  /**
   * Sweeps all rows of this user, as if they were due. On a slow machine the rows of other users can be due as well, and
   * their calls take other steps if they are swept.
   */
  async sweep(): Promise<void> {
    await this.change(`due_at = now()`, 'due_at is not null');
    await this.#fixture.sweep(this.user);
  }

  /** Lets the consumer refuse the next event. */
  refuseOnce(): void {
    this.#fixture.consumer.refusesOnce.add(this.user);
  }

  /** Delivers all events, also those that another dispatcher has leased. */
  async deliver(): Promise<void> {
    // Another `deliver` may lease an event of this user and give it back.
    while ((await this.change('event_due_at = now()', 'event_due_at is not null')) > 0)
      await this.#fixture.deliver(this.user);
  }

  /**
   * Compares the events that the consumer has taken with the history, when no event is due any more.
   *
   * @param mayBeBegunAgain whether a killed call may have begun the upload of a lost file again, which then does not
   *   expire
   */
  wrongEvents(mayBeBegunAgain: boolean): string[] {
    const events = this.#fixture.consumer.taken.filter(({ user }) => user === this.user);
    const wrong = events.flatMap((event) => wrongOf(event, events, this.#deedsOf(event.key)));
    const expected = (key: string, newest: TakenEvent | undefined) => {
      if (this.#fixture.servers.eventsUrl === undefined) return undefined;
      const state = this.#acknowledged.get(key);
      if (state === 'uploaded') return 'READY';
      if (state === 'deleted') return 'DELETED';
      return mayBeBegunAgain && newest?.change === 'LOST' ? 'LOST' : 'EXPIRED';
    };
    for (const key of this.#deeds.keys()) {
      const newest = newestOf(events.filter((event) => event.key === key));
      if (newest?.change !== expected(key, newest))
        wrong.push(`the newest event of ${key} is ${newest?.change}, and not ${expected(key, newest)}`);
    }
    return wrong;
  }

  #deedsOf(s3Key: string): Set<Deed> {
    const deeds = this.#deeds.get(s3Key) ?? new Set();
    this.#deeds.set(s3Key, deeds);
    return deeds;
  }

  /** Changes this user's rows, for example their times, and returns how many. */
  async change(assignments: string, where = 'true'): Promise<number> {
    const { rowCount } = await this.#fixture.ports.pool.query(
      `update files set ${assignments} where user_id = $1 and (${where})`,
      [this.user],
    );
    return rowCount ?? 0;
  }

  /**
   * Checks an answer against the history. A client that is answered NEW holds its URL for a later PUT.
   *
   * @param beside whether another actor acted during the call, so that the state before or after that action
   *   may be answered
   */
  async hear(ask: Ask, answer: Answer, beside: 'alone' | 'beside others'): Promise<void> {
    const alone = beside === 'alone';
    const claim = (holds: boolean, what: string) => {
      if (!holds) this.wrong.push(`${this.user}: ${ask.method} → ${JSON.stringify(answer)}, ${what}`);
    };
    switch (answer.heard) {
      case 'NEW':
        if (ask.method !== 'create') return claim(false, 'which this method never answers');
        this.#handed.set(answer.s3Key, { ...answer, content: ask.content });
        if (!alone) return;
        claim(!this.#isThere(ask.content), 'but the upload of these bytes was acknowledged');
        return claim(this.#acknowledged.get(answer.s3Key) !== 'deleted', 'but the key has a tombstone');
      case 'many':
        if (ask.method !== 'create many') return claim(false, 'which this method never answers');
        for (const [i, content] of ask.contents.entries()) {
          const one = answer.answers[i];
          if (one === undefined) claim(false, 'without an answer for each request');
          else await this.hear({ method: 'create', content }, one, beside);
        }
        return;
      case 'UPLOAD': {
        if (ask.method !== 'begin') return claim(false, 'which this method never answers');
        const known = this.#uploads.get(answer.s3Key);
        const upload = known ?? { content: ask.content, landed: new Set(), lost: false };
        this.#uploads.set(answer.s3Key, upload);
        if (!alone) return;
        upload.lost = false;
        const missing = missingOf(upload).join();
        claim(
          answer.missing.join() === missing,
          `but the parts that were not acknowledged are ${missing || 'none'}`,
        );
        return claim(
          this.#acknowledged.get(answer.s3Key) === undefined,
          'but the file exists or has a tombstone',
        );
      }
      case 'parts':
        return claim(!alone || this.#acknowledged.get(answer.s3Key) !== 'deleted', 'for a deleted file');
      case 'UPLOAD_COMPLETE': {
        const there = 's3Key' in ask && this.#acknowledged.get(ask.s3Key) === 'uploaded';
        return claim(!alone || there, 'but the upload is not complete');
      }
      case 'EXISTING': {
        const state = this.#acknowledged.get(answer.s3Key);
        claim(
          state === 'uploaded' || (!alone && state === 'deleted'),
          'but the upload of these bytes was not acknowledged',
        );
        const inBucket = await this.#fixture.ports.objects.head(ampleCall(), parseS3Key(answer.s3Key));
        return claim(inBucket !== undefined || state === 'deleted', 'but the bucket has no such object');
      }
      case 'list':
        return claim(
          !alone || answer.keys.join() === this.uploaded().sort().join(),
          'but the list must have other keys',
        );
      case 'file': {
        if (!('s3Key' in ask)) return claim(false, 'which this method never answers');
        if (ask.method === 'complete') {
          claim(this.#missing(ask.s3Key) === 0, 'but some parts were never sent');
          this.made(ask.s3Key);
        }
        const there = this.#acknowledged.get(ask.s3Key) === 'uploaded';
        return claim(!alone || there === (answer.state === 'ready'), 'but the file has another state');
      }
      case 'files': {
        if (ask.method !== 'get many') return claim(false, 'which this method never answers');
        for (const s3Key of ask.s3Keys) {
          const there = this.#acknowledged.get(s3Key) === 'uploaded';
          claim(!alone || there === (answer.states[s3Key] === 'ready'), `but ${s3Key} has another state`);
        }
        return;
      }
      case 'OK':
        if (ask.method === 'delete') this.deleted(ask.s3Key);
        return;
      case 'UPLOAD_INCOMPLETE':
      case 'FILE_NOT_FOUND': {
        if (!('s3Key' in ask)) return claim(false, 'which this method never answers');
        if (!alone) return;
        const state = this.#acknowledged.get(ask.s3Key);
        claim(state !== 'uploaded', 'but the file exists');
        if (ask.method !== 'complete' && ask.method !== 'presign') return;
        const known = this.#uploads.has(ask.s3Key) && state === undefined && !this.#outlived;
        const whole = answer.heard === 'FILE_NOT_FOUND' || this.#missing(ask.s3Key) === 0;
        return claim(!known || !whole, 'but its parts were acknowledged');
      }
      default:
        return claim(false, 'but nothing failed');
    }
  }

  #missing(s3Key: string): number {
    const upload = this.#uploads.get(s3Key);
    return upload === undefined ? Number.NaN : missingOf(upload).length;
  }

  #isThere({ md5 }: Content): boolean {
    return this.uploaded().some((key) => this.#handed.get(key)?.content.md5 === md5);
  }
}

function missingOf({ content, landed }: Upload): number[] {
  return content.parts.map((_, i) => i + 1).filter((number) => !landed.has(number));
}
