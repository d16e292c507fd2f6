/**
 * Calls of several users, and a record of all that the service acknowledged. A call without an answer is repeated
 * later, as real callers do.
 */
import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { FileState } from '../../../gen/files/v1/file_pb.ts';
import { listVerified } from '../../harness/list-verified.ts';
import { put } from '../../harness/put.ts';
import { md5, newUser } from '../../harness/random.ts';
import { download, type FileClient } from '../../harness/upload.ts';
import { DEADLINE_MS } from '../outage.ts';

const USERS = 4;

const MIME_TYPE = 'text/plain';

interface Draft {
  readonly filename: string;
  readonly bytes: string;
}

interface RecordedFile extends Draft {
  readonly client: FileClient;
  readonly s3Key: string;
  /**
   * The state of the file by the last answer about it. `uploaded`: S3 accepted the bytes, and no call about the file
   * was answered since. `doubtful`: a delete got no answer.
   */
  state: 'created' | 'uploaded' | 'ready' | 'doubtful' | 'deleted';
  /** How many calls for this file are under way. */
  underWay: number;
}

interface User {
  readonly client: FileClient;
  readonly files: RecordedFile[];
  /** The creates without an answer. */
  readonly drafts: Draft[];
}

const timeout = { timeoutMs: DEADLINE_MS };

/** @param openClient returns a client for the user */
export class AcknowledgedCalls {
  readonly #users: readonly User[];
  #turn = 0;
  /** Answers that contradict an acknowledgement. */
  readonly wrong: string[] = [];

  constructor(openClient: (userId: string) => FileClient) {
    this.#users = Array.from({ length: USERS }, () => ({
      client: openClient(newUser()),
      files: [],
      drafts: [],
    }));
  }

  get files(): RecordedFile[] {
    return this.#users.flatMap(({ files }) => files);
  }

  count(state: RecordedFile['state']): number {
    return this.files.filter((file) => file.state === state).length;
  }

  /** The calls for `startLoad`. Each goes to the next user. */
  calls() {
    return {
      create: () => this.#create(this.#nextUser()),
      list: () => this.#list(this.#nextUser()),
      get: () => this.#get(this.#nextUser()),
      download: () => this.#download(this.#nextUser()),
      delete: () => this.#delete(this.#nextUser()),
    };
  }

  /** Uploads files for each user, so that each kind of call has a file from the start. */
  async uploadFirst(count: number): Promise<void> {
    for (const user of this.#users) {
      await Promise.all(Array.from({ length: count }, () => this.#create(user)));
      await this.#list(user);
    }
  }

  /** Creates a file whose bytes the user has not sent yet. */
  async begin(): Promise<() => Promise<void>> {
    const user = this.#nextUser();
    const draft = newDraft();
    const answer = await user.client.createPresignedUpload(requestOf(draft));
    const file: RecordedFile = {
      ...draft,
      client: user.client,
      s3Key: answer.s3Key,
      state: 'created',
      underWay: 0,
    };
    user.files.push(file);
    return async () => {
      const { status } = await put(answer, draft.bytes);
      if (status !== 200) throw new Error(`the PUT was answered with ${status}`);
      file.state = 'uploaded';
    };
  }

  /** The keys of all files that the service lists now. */
  async listed(): Promise<Set<string>> {
    const files = await Promise.all(this.#users.map(({ client }) => listVerified(client)));
    return new Set(files.flat().map(({ s3Key }) => s3Key));
  }

  #nextUser(): User {
    const user = this.#users[this.#turn++ % this.#users.length];
    if (user === undefined) throw new Error('there are no users');
    return user;
  }

  async #create({ client, files, drafts }: User): Promise<void> {
    const draft = drafts.pop() ?? newDraft();
    const answer = await client.createPresignedUpload(requestOf(draft), timeout).catch((error) => {
      drafts.push(draft);
      throw error;
    });
    const file: RecordedFile = { ...draft, client, s3Key: answer.s3Key, state: 'created', underWay: 0 };
    files.push(file);
    const { status } = await put(answer, draft.bytes);
    if (status === 200 && file.state === 'created') file.state = 'uploaded';
  }

  async #list({ client, files }: User): Promise<void> {
    const before = new Map(files.map((file) => [file, file.state]));
    const answer = await client.listFiles({ pageSize: 1_000 }, timeout);
    const listed = new Set(answer.files.map(({ s3Key }) => s3Key));
    for (const [file, state] of before) {
      const isListed = listed.has(file.s3Key);
      if (state === 'deleted' && isListed) this.wrong.push(`${file.s3Key} is deleted and was listed`);
      // A delete may have begun since.
      if (state === 'ready' && file.state === 'ready' && !isListed)
        this.wrong.push(`${file.s3Key} is READY and was not listed`);
      if (file.state === 'uploaded' && isListed) file.state = 'ready';
    }
  }

  async #get(user: User): Promise<void> {
    const isNew = user.files.some(({ state, underWay }) => state === 'uploaded' && underWay === 0);
    await this.#use(user, isNew ? 'uploaded' : 'ready', async (file) => {
      const answer = await file.client.getFile({ s3Key: file.s3Key }, timeout);
      if (answer.file?.state === FileState.READY) file.state = 'ready';
      else this.wrong.push(`${file.s3Key} is uploaded and not READY`);
    });
  }

  async #download(user: User): Promise<void> {
    await this.#use(user, 'ready', async (file) => {
      const { presignedUrl } = await file.client.createPresignedDownload({ s3Key: file.s3Key }, timeout);
      if ((await (await fetch(presignedUrl)).text()) !== file.bytes)
        this.wrong.push(`${file.s3Key} has other bytes`);
    });
  }

  async #delete(user: User): Promise<void> {
    const isRepeated = user.files.some(({ state, underWay }) => state === 'doubtful' && underWay === 0);
    await this.#use(user, isRepeated ? 'doubtful' : 'ready', async (file) => {
      file.state = 'doubtful';
      try {
        await file.client.deleteFile({ s3Key: file.s3Key }, timeout);
      } catch (error) {
        // The delete that got no answer may have been carried out.
        if (!(isRepeated && ConnectError.from(error).code === Code.NotFound)) throw error;
      }
      file.state = 'deleted';
    });
  }

  /** Calls for any file in this state that no other call uses. */
  async #use({ files }: User, state: RecordedFile['state'], call: (file: RecordedFile) => Promise<void>) {
    const free = files.filter((one) => one.state === state && one.underWay === 0);
    const file = free[Math.floor(Math.random() * free.length)];
    if (file === undefined) throw new Error(`no file is ${state}`);
    file.underWay++;
    try {
      await call(file);
    } finally {
      file.underWay--;
    }
  }
}

function newDraft(): Draft {
  return { filename: `${randomUUID()}.txt`, bytes: `the content ${randomUUID()}` };
}

function requestOf({ filename, bytes }: Draft) {
  return { filename, mimeType: MIME_TYPE, md5: md5(bytes), size: BigInt(bytes.length) };
}

/**
 * Compares each file with what the service now answers for it. Returns the differences. After a delete without an
 * answer, both outcomes are right.
 */
export async function differences(files: readonly RecordedFile[]): Promise<string[]> {
  const found: string[] = [];
  for (const { client, s3Key, filename, bytes, state } of files) {
    if (state === 'doubtful') continue;
    const seen = await client.getFile({ s3Key }).then(
      ({ file }) => file,
      (error) => ConnectError.from(error).code,
    );
    if (state === 'deleted') {
      if (seen !== Code.NotFound) found.push(`${s3Key} is deleted and was found`);
    } else if (typeof seen !== 'object') {
      found.push(`${s3Key} is ${state} and was not found`);
    } else if (state !== 'created') {
      const expected = {
        state: FileState.READY,
        filename,
        mimeType: MIME_TYPE,
        md5: md5(bytes),
        size: BigInt(bytes.length),
      };
      for (const [name, value] of Object.entries(expected)) {
        if (seen[name as keyof typeof expected] !== value) found.push(`${s3Key} has another ${name}`);
      }
      if ((await download(client, s3Key)) !== bytes) found.push(`${s3Key} has other bytes`);
    }
  }
  return found;
}
