import { createHash } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { ampleCall } from '../harness/deadline.ts';
import { putTo } from '../harness/put.ts';
import { type FileClient, keepCalling, type Load, oneOf } from './crash-load.ts';

/** The smallest part size that can be configured. */
export const PART_BYTES = 5 * 1024 ** 2;

const ALL = [1, 2, 3];

/**
 * Uploads one file by multipart in a loop: begins, sends a part or two, begins again, completes, deletes.
 * Only this client uses the file, so the client knows which parts S3 has acknowledged.
 */
export class PartsClient {
  readonly #load: Load;
  readonly #user: string;
  /**
   * Only the first part is large. One large part is the most expensive, and more large parts would test
   * nothing else.
   */
  readonly #parts: Buffer[];
  readonly #request;
  #key = '';
  /** `either`: a complete or a delete got no answer. */
  #is: 'there' | 'absent' | 'either' = 'absent';
  #begun = false;
  readonly #landed = new Set<number>();
  /** A delete was sent, so uploaded parts may be gone. */
  #mayBeDeleted = false;

  constructor(load: Load, user: string) {
    this.#load = load;
    this.#user = user;
    this.#parts = [Buffer.alloc(PART_BYTES, user), Buffer.alloc(PART_BYTES, `${user} 2`), Buffer.from(user)];
    this.#request = {
      filename: 'film.mp4',
      mimeType: 'video/mp4',
      size: BigInt(Buffer.concat(this.#parts).length),
      partMd5s: this.#parts.map((part) => createHash('md5').update(part).digest()),
    };
  }

  known(): { key: string; md5: string; is: 'there' | 'absent' | 'either' } {
    return { key: this.#key, md5: '', is: this.#is };
  }

  work(): Promise<void> {
    return keepCalling(this.#load, this.#user, (files) => this.#call(files));
  }

  async #call(files: FileClient): Promise<void> {
    const dice = Math.random();
    const missing = ALL.filter((number) => !this.#landed.has(number));
    if (!this.#begun || this.#is === 'either' || dice < 0.2) await this.#begin(files);
    else if (this.#is === 'there' ? dice < 0.8 : dice < 0.25) await this.#delete(files);
    else if (this.#is === 'there') await this.#list(files);
    else if (missing.length > 0 && dice < 0.9) await this.#send(files, oneOf(missing));
    else await this.#complete(files, missing);
  }

  async #begin(files: FileClient): Promise<void> {
    const { type, s3Key, missingPartNumbers } = await files.createMultipartUpload(this.#request);
    this.#begun = true;
    if (type === UploadType.EXISTING) {
      this.#claim(this.#is !== 'absent' && s3Key === this.#key, `EXISTING: ${s3Key}, and that is not so`);
      const seen = await this.#load.fixture.ports.objects.head(ampleCall(), parseS3Key(s3Key));
      this.#claim(seen !== undefined, `EXISTING: ${s3Key}, and the bucket does not hold it`);
      this.#is = 'there';
      this.#mayBeDeleted = false;
      return;
    }
    this.#claim(this.#is !== 'there', `NEW: ${s3Key}, and ${this.#key} was acknowledged`);
    const mayBeAnother = this.#key === '' || this.#mayBeDeleted;
    this.#claim(mayBeAnother || s3Key === this.#key, `NEW: ${s3Key}, and it was ${this.#key}`);
    if (s3Key !== this.#key || missingPartNumbers.length === ALL.length) {
      this.#claim(mayBeAnother || this.#landed.size === 0, `${s3Key}: acknowledged parts were lost`);
      this.#landed.clear();
    }
    const missing = ALL.filter((number) => !this.#landed.has(number));
    this.#claim(
      missing.join() === missingPartNumbers.join(),
      `${s3Key}: ${missingPartNumbers}, and not ${missing}`,
    );
    this.#key = s3Key;
    this.#is = 'absent';
    this.#mayBeDeleted = false;
  }

  async #send(files: FileClient, number: number): Promise<void> {
    const { parts } = await files.createPresignedParts({ s3Key: this.#key, partNumbers: [number] });
    const [part] = parts;
    const { status, body } = await putTo(
      part?.presignedUrl ?? '',
      part?.requiredHeaders ?? {},
      this.#parts[number - 1] ?? '',
    );
    this.#claim(status === 200, `part ${number} of ${this.#key}: ${status} ${body}`);
    this.#load.parts++;
    this.#landed.add(number);
  }

  async #complete(files: FileClient, missing: number[]): Promise<void> {
    if (missing.length === 0) {
      this.#is = 'either';
      this.#load.file(this.#key, '').deeds.add('uploaded');
    }
    try {
      await files.completeMultipartUpload({ s3Key: this.#key });
      this.#claim(missing.length === 0, `${this.#key} is complete, without ${missing}`);
      this.#load.completes++;
      this.#is = 'there';
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.FailedPrecondition) throw error;
      this.#claim(missing.length > 0, `${this.#key} is incomplete, and all of it was acknowledged`);
    }
  }

  async #delete(files: FileClient): Promise<void> {
    this.#is = 'either';
    this.#mayBeDeleted = true;
    await this.#load.delete(files, this.#key, '');
    this.#is = 'absent';
    this.#begun = false;
    this.#landed.clear();
  }

  async #list(files: FileClient): Promise<void> {
    const { files: listed } = await files.listFiles({ pageSize: 1_000 });
    this.#load.lists++;
    const keys = listed.map(({ s3Key }) => s3Key);
    this.#claim(keys.includes(this.#key), `list: not ${this.#key}, and it was acknowledged`);
  }

  #claim(holds: boolean, what: string): void {
    this.#load.claim(holds, this.#user, what);
  }
}
