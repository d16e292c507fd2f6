import { ample } from '../harness/deadline.ts';
import { md5 } from '../harness/made-up.ts';
import { putTo } from '../harness/put.ts';
import type { Answer, Ask, Content } from './crash-ports.ts';
import type { World } from './crash-world.ts';

/** A URL that a client holds, with the bytes it is for. */
interface Handed {
  content: Content;
  url: string;
  headers: Record<string, string>;
}

export function content(filename: string, bytes: string): Content {
  return { filename, bytes, md5: md5(bytes) };
}

/**
 * One user, and all that this user's clients have heard. Every answer is judged against it when it comes, and it says
 * what must be there in the end.
 */
export class Scene {
  readonly user: string;
  readonly wrong: string[] = [];
  readonly #world: World;
  readonly #handed = new Map<string, Handed>();
  /** By key: what S3's 200 or the service's OK has acknowledged. A key has no way back from a delete. */
  readonly #acknowledged = new Map<string, 'uploaded' | 'deleted'>();

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
        const there = this.#acknowledged.get(ask.s3Key) === 'uploaded';
        return claim(!alone || there === (answer.state === 'ready'), 'and that is not its state');
      }
      case 'OK':
        if (ask.method === 'delete') this.deleted(ask.s3Key);
        return;
      case 'UPLOAD_INCOMPLETE':
      case 'FILE_NOT_FOUND': {
        if (!('s3Key' in ask)) return claim(false, 'of all things');
        return claim(!alone || this.#acknowledged.get(ask.s3Key) !== 'uploaded', 'but it is there');
      }
      default:
        return claim(false, 'while all was well');
    }
  }

  #isThere({ md5 }: Content): boolean {
    return this.uploaded().some((key) => this.#handed.get(key)?.content.md5 === md5);
  }
}
