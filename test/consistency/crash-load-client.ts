import { Code, ConnectError } from '@connectrpc/connect';
import { type CreatePresignedUploadResponse, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { ampleCall } from '../harness/deadline.ts';
import { putTo } from '../harness/put.ts';
import { content } from './crash-history.ts';
import { type FileClient, keepCalling, type Load, oneOf } from './crash-load.ts';
import type { Content } from './crash-ports.ts';

const CONTENTS_PER_CLIENT = 4;
/** Fewer names than contents, so that keys are taken, get suffixes, have tombstones, and are free again. */
const NAMES = ['a.txt', 'b.txt', 'c.txt'];

interface Known {
  content: Content;
  key: string;
  /** `either`: a delete got no answer. */
  is: 'there' | 'absent' | 'either';
  /** Whether the key certainly belongs to this file. */
  mayDelete: boolean;
}

/**
 * Creates, uploads, deletes and lists, one call after the other. Only this client uses its contents, while
 * other clients share its user and its filenames. So the client knows exactly which answers are right
 * although other clients interfere.
 */
export class LoadClient {
  readonly #load: Load;
  readonly #user: string;
  readonly #contents: Known[];

  constructor(load: Load, user: string, index: number) {
    this.#load = load;
    this.#user = user;
    this.#contents = Array.from({ length: CONTENTS_PER_CLIENT }, (_, i) => ({
      content: content(oneOf(NAMES), `content ${i} of client ${index} of ${user}`),
      key: '',
      is: 'absent',
      mayDelete: false,
    }));
  }

  known(): (Known & { md5: string })[] {
    return this.#contents.map((known) => ({ ...known, md5: known.content.md5 }));
  }

  /**
   * A day after a delete the key may belong to another file, which a delete by this key would then delete.
   */
  forgetKeysOfTheDeleted(): void {
    for (const known of this.#contents) known.mayDelete = known.is === 'there';
  }

  work(): Promise<void> {
    return keepCalling(this.#load, this.#user, (files) => this.#call(files));
  }

  async #call(files: FileClient): Promise<void> {
    const known = oneOf(this.#contents);
    const dice = Math.random();
    if (dice < 0.2) await this.#list(files);
    else if (dice < 0.5 && known.mayDelete) await this.#delete(files, known);
    else if (dice < 0.85) await this.#create(files, known);
    else await this.#createMany(files);
  }

  async #create(files: FileClient, known: Known): Promise<void> {
    await this.#goOn(known, await files.createPresignedUpload(requestOf(known)));
  }

  async #createMany(files: FileClient): Promise<void> {
    const two = new Set([oneOf(this.#contents), oneOf(this.#contents)]);
    const { results } = await files.batchCreatePresignedUploads({ requests: [...two].map(requestOf) });
    this.#load.batches++;
    const answers = results.map(({ result }) => result);
    for (const [i, known] of [...two].entries()) {
      const answer = answers[i];
      if (answer?.case === 'response') await this.#goOn(known, answer.value);
    }
    for (const answer of answers)
      if (answer.case === 'status') throw new ConnectError(answer.value.message, answer.value.code);
  }

  /** Checks the answer to a create, and uploads. */
  async #goOn(known: Known, answer: CreatePresignedUploadResponse): Promise<void> {
    const { bytes, md5 } = known.content;
    const { type, s3Key, presignedUrl, requiredHeaders } = answer;
    if (type === UploadType.EXISTING) {
      this.#load.existing++;
      this.#claim(known.is !== 'absent', `EXISTING: ${s3Key}, but the upload was not acknowledged`);
      this.#claim(known.key === s3Key, `EXISTING: ${s3Key}, but the key was ${known.key}`);
      const seen = await this.#load.fixture.ports.objects.head(ampleCall(), parseS3Key(s3Key));
      this.#claim(
        seen?.fingerprint === Buffer.from(md5, 'base64').toString('hex'),
        `EXISTING: ${s3Key}, and the bucket does not hold it`,
      );
      known.is = 'there';
      known.mayDelete = true;
      return;
    }
    this.#claim(known.is !== 'there', `NEW: ${s3Key}, but ${known.key} was acknowledged`);
    known.is = 'absent';
    known.key = s3Key;
    known.mayDelete = true;
    if (Math.random() < 0.1) return;
    this.#load.file(s3Key, md5).deeds.add('uploaded');
    const { status } = await putTo(presignedUrl, requiredHeaders, bytes);
    this.#claim(status === 200, `PUT ${s3Key}: ${status}`);
    this.#load.uploads++;
    known.is = 'there';
  }

  async #delete(files: FileClient, known: Known): Promise<void> {
    const before = known.is;
    if (before === 'there') known.is = 'either';
    try {
      await this.#load.delete(files, known.key, known.content.md5);
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.NotFound) throw error;
      this.#claim(before !== 'there', `delete ${known.key}: not found, but the upload was acknowledged`);
    }
    known.is = 'absent';
  }

  async #list(files: FileClient): Promise<void> {
    const { files: listed } = await files.listFiles({ pageSize: 1_000 });
    this.#load.lists++;
    const keys = new Map(listed.map(({ md5, s3Key }) => [md5, s3Key]));
    for (const known of this.#contents) {
      const key = keys.get(known.content.md5);
      if (known.is === 'either') {
        known.is = key === undefined ? 'absent' : 'there';
        known.mayDelete ||= known.is === 'there';
      }
      const expected = known.is === 'there' ? known.key : undefined;
      this.#claim(key === expected, `list: ${key} for ${known.content.md5}, but the key is ${expected}`);
    }
  }

  #claim(holds: boolean, what: string): void {
    this.#load.claim(holds, this.#user, what);
  }
}

const requestOf = ({ content: { filename, md5 } }: Known) => ({ filename, mimeType: 'text/plain', md5 });
