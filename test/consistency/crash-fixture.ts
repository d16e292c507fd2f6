import { LEAST_PART_BYTES } from '../harness/bucket.ts';
import { ample } from '../harness/deadline.ts';
import { putTo } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import type { Answer, Ask, Content, CutContent } from './crash-ports.ts';
import type { World } from './crash-servers.ts';

/** A URL that a client holds, with the bytes it is for. */
interface Handed {
  content: Content;
  url: string;
  headers: Record<string, string>;
}

export function content(filename: string, bytes: string): Content {
  return { filename, bytes, md5: md5(bytes) };
}

/** Three parts of it. */
export function cut(filename: string, bytes: string): CutContent {
  const part = (number: number) => `${number}${bytes}`.repeat(LEAST_PART_BYTES).slice(0, LEAST_PART_BYTES);
  return { filename, parts: [part(1), part(2), 'end'] };
}

/** What a client knows of an upload in parts. */
interface Upload {
  content: CutContent;
  /** Of which S3 has said 200. */
  landed: Set<number>;
  /** S3 has it no longer, behind the service's back. */
  lost: boolean;
}

/**
 * One user, and all that this user's clients have heard. Every answer is judged against it when it comes, and it says
 * what must be there in the end.
 */
export class Fixture {
  readonly user: string;
  readonly wrong: string[] = [];
  readonly #world: World;
  readonly #handed = new Map<string, Handed>();
  /** By key: what S3's 200 or the service's OK has acknowledged. A key has no way back from a delete. */
  readonly #acknowledged = new Map<string, 'uploaded' | 'deleted'>();
  readonly #uploads = new Map<string, Upload>();
  /** Nobody has asked for a week and a day: uploads may be given up. */
  #outlived = false;

  constructor(world: World, user: string) {
    this.#world = world;
    this.user = user;
  }

  /** The keys that must be there, and no others. */
  uploaded(): string[] {
    return [...this.#acknowledged].filter(([, how]) => how === 'uploaded').map(([key]) => key);
  }

  /** Asks the instance that lives, and believes nothing. */
  async ask(ask: Ask): Promise<Answer> {
    const answer = await this.#world.ports.perform(this.user, ask);
    await this.hear(ask, answer, 'alone');
    return answer;
  }

  /** Asks for an upload that must be NEW; the key. */
  async announce(content: Content): Promise<string> {
    const answer = await this.ask({ method: 'create', content });
    if (answer.heard !== 'NEW') throw new Error(`announced, and heard ${JSON.stringify(answer)}`);
    return answer.s3Key;
  }

  async announceAndPut(content: Content): Promise<string> {
    const s3Key = await this.announce(content);
    await this.put(s3Key);
    return s3Key;
  }

  /** Uploads with the newest URL that was handed out for the key. */
  async put(s3Key: string): Promise<void> {
    const handed = this.#handed.get(s3Key);
    if (handed === undefined) throw new Error(`no URL for ${s3Key}`);
    const { status, body } = await putTo(handed.url, handed.headers, handed.content.bytes);
    if (status !== 200) throw new Error(`the PUT of ${s3Key} was answered with ${status} ${body}`);
    // Where the delete came first, this PUT comes late and changes nothing.
    if (this.#acknowledged.get(s3Key) !== 'deleted') this.#acknowledged.set(s3Key, 'uploaded');
  }

  /** Asks for an upload in parts that must be NEW; the key. */
  async begin(content: CutContent): Promise<string> {
    const answer = await this.ask({ method: 'begin', content });
    if (answer.heard !== 'UPLOAD') throw new Error(`begun, and heard ${JSON.stringify(answer)}`);
    return answer.s3Key;
  }

  /** Where the file is pending, still. @returns whether they have landed */
  async putParts(s3Key: string, partNumbers: number[]): Promise<boolean> {
    if (partNumbers.length === 0) return true;
    const answer = await this.ask({ method: 'presign', s3Key, partNumbers });
    const upload = this.#uploads.get(s3Key);
    if (answer.heard !== 'parts' || upload === undefined) return false;
    for (const { number, url, requiredHeaders } of answer.urls) {
      const bytes = upload.content.parts[number - 1] ?? '';
      const { status, body } = await putTo(url, requiredHeaders, bytes);
      // Who asks for URLs is not told what S3 has lost or made: who begins again is.
      if (status === 404 && (upload.lost || this.#acknowledged.get(s3Key) === 'uploaded')) return false;
      if (status !== 200) throw new Error(`part ${number} of ${s3Key} was answered with ${status} ${body}`);
      upload.landed.add(number);
    }
    return true;
  }

  /** Another client, from the beginning to the end. */
  async uploadMultipart(content: CutContent): Promise<void> {
    const answer = await this.ask({ method: 'begin', content });
    if (answer.heard === 'UPLOAD') await this.#finish(answer.s3Key, answer.missing);
  }

  /** A client that has heard NEW goes on. */
  async goOn(s3Key: string): Promise<void> {
    const upload = this.#uploads.get(s3Key);
    if (upload === undefined) return this.put(s3Key);
    await this.#finish(s3Key, missingOf(upload));
  }

  async #finish(s3Key: string, missing: number[]): Promise<void> {
    if (await this.putParts(s3Key, missing)) await this.ask({ method: 'complete', s3Key });
  }

  /** S3 has made the object. */
  made(s3Key: string): void {
    if (this.#acknowledged.get(s3Key) !== 'deleted') this.#acknowledged.set(s3Key, 'uploaded');
  }

  /** All of it, by whoever dies before anybody hears. */
  async makeInBucket(s3Key: string, content: CutContent): Promise<void> {
    const answer = await this.ask({ method: 'begin', content });
    if (answer.heard !== 'UPLOAD' || answer.s3Key !== s3Key) return;
    if (await this.putParts(s3Key, answer.missing)) await this.completeInBucket(s3Key);
  }

  /** By a call that died before it could say so. */
  async completeInBucket(s3Key: string): Promise<void> {
    const { multipart } = this.#world.ports;
    const [uploadId = ''] = await multipart.uploadsOf(s3Key, ample());
    const parts = (await multipart.parts(s3Key, uploadId, ample())) ?? [];
    await multipart.complete(s3Key, uploadId, parts, ample());
    this.made(s3Key);
  }

  /** Behind the service's back. */
  async abortInBucket(s3Key: string): Promise<void> {
    const { multipart } = this.#world.ports;
    for (const id of await multipart.uploadsOf(s3Key, ample())) await multipart.abort(s3Key, id, ample());
    const upload = this.#uploads.get(s3Key);
    if (upload === undefined) return;
    upload.landed.clear();
    upload.lost = true;
  }

  /** What a call has left that died then. */
  async beginInBucket(s3Key: string): Promise<void> {
    await this.#world.ports.multipart.begin(s3Key, 'video/mp4', ample());
  }

  /** All URLs died, and their uploads have ended. */
  async outlive(): Promise<void> {
    this.#outlived = true;
    await this.change(`url_expire_at = now() - interval '25 hours'`);
  }

  /** A delete of which no more than the commit came about: whoever did it died then. */
  async deleteAndDie(s3Key: string): Promise<void> {
    if (await this.#world.ports.store.markDeleted({ userId: this.user, s3Key }, ample())) this.deleted(s3Key);
  }

  deleted(s3Key: string): void {
    this.#acknowledged.set(s3Key, 'deleted');
  }

  /** Behind the service's back. */
  async removeObject(s3Key: string): Promise<void> {
    await this.#world.bucket.remove(s3Key);
    this.#acknowledged.delete(s3Key);
  }

  /** Any sweeper, now. */
  async sweep(): Promise<void> {
    await this.change(`due_at = now()`, 'due_at is not null');
    await this.#world.sweep();
  }

  /** Moves this user's rows in time. */
  async change(assignments: string, where = 'true'): Promise<void> {
    await this.#world.ports.pool.query(`update files set ${assignments} where user_id = $1 and (${where})`, [
      this.user,
    ]);
  }

  /**
   * What was heard must be the truth. And who hears NEW uploads.
   *
   * @param beside whether something else happened while the call ran, so that either side of it may be heard
   */
  async hear(ask: Ask, answer: Answer, beside: 'alone' | 'beside others'): Promise<void> {
    const alone = beside === 'alone';
    const claim = (holds: boolean, what: string) => {
      if (!holds) this.wrong.push(`${this.user}: ${ask.method} → ${JSON.stringify(answer)}, ${what}`);
    };
    switch (answer.heard) {
      case 'NEW':
        if (ask.method !== 'create') return claim(false, 'of all things');
        this.#handed.set(answer.s3Key, { ...answer, content: ask.content });
        if (!alone) return;
        claim(!this.#isThere(ask.content), 'but the bytes had been acknowledged');
        return claim(this.#acknowledged.get(answer.s3Key) !== 'deleted', 'but the key has a tombstone');
      case 'UPLOAD': {
        if (ask.method !== 'begin') return claim(false, 'of all things');
        const known = this.#uploads.get(answer.s3Key);
        const upload = known ?? { content: ask.content, landed: new Set(), lost: false };
        this.#uploads.set(answer.s3Key, upload);
        if (!alone) return;
        upload.lost = false;
        const missing = missingOf(upload).join();
        claim(answer.missing.join() === missing, `and what was not acknowledged is ${missing || 'nothing'}`);
        return claim(
          this.#acknowledged.get(answer.s3Key) === undefined,
          'but it is there, or has a tombstone',
        );
      }
      case 'parts':
        return claim(!alone || this.#acknowledged.get(answer.s3Key) !== 'deleted', 'of a deleted file');
      case 'UPLOAD_COMPLETE': {
        const there = 's3Key' in ask && this.#acknowledged.get(ask.s3Key) === 'uploaded';
        return claim(!alone || there, 'and it is not');
      }
      case 'EXISTING': {
        const state = this.#acknowledged.get(answer.s3Key);
        claim(state === 'uploaded' || (!alone && state === 'deleted'), 'and that is not so');
        const inBucket = await this.#world.ports.objects.head(answer.s3Key, Date.now() + 10_000);
        return claim(inBucket !== undefined || state === 'deleted', 'and the bucket has no such object');
      }
      case 'list':
        return claim(
          !alone || answer.keys.join() === this.uploaded().sort().join(),
          'and that is not the list',
        );
      case 'file': {
        if (!('s3Key' in ask)) return claim(false, 'of all things');
        if (ask.method === 'complete') {
          claim(this.#missing(ask.s3Key) === 0, 'and parts of it were never sent');
          this.made(ask.s3Key);
        }
        const there = this.#acknowledged.get(ask.s3Key) === 'uploaded';
        return claim(!alone || there === (answer.state === 'ready'), 'and that is not its state');
      }
      case 'OK':
        if (ask.method === 'delete') this.deleted(ask.s3Key);
        return;
      case 'UPLOAD_INCOMPLETE':
      case 'FILE_NOT_FOUND': {
        if (!('s3Key' in ask)) return claim(false, 'of all things');
        if (!alone) return;
        const state = this.#acknowledged.get(ask.s3Key);
        claim(state !== 'uploaded', 'but it is there');
        if (ask.method !== 'complete' && ask.method !== 'presign') return;
        const known = this.#uploads.has(ask.s3Key) && state === undefined && !this.#outlived;
        const whole = answer.heard === 'FILE_NOT_FOUND' || this.#missing(ask.s3Key) === 0;
        return claim(!known || !whole, 'but its parts have landed');
      }
      default:
        return claim(false, 'while all was well');
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
