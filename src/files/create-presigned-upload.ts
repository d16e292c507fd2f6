import type { Deadline } from './deadline.ts';
import type { UserFile } from './file.ts';
import { FileError } from './file-error.ts';
import { parseFilename } from './filename.ts';
import { type LookPorts, look } from './look.ts';
import { type Md5, parseMd5 } from './md5.ts';
import { parseMimeType } from './mime-type.ts';
import type { FileStore, PresignedUpload, Presigner } from './ports.ts';
import { randomSuffix, s3Key } from './s3-key.ts';
import { parseUploadSize } from './upload-size.ts';

interface Request {
  filename: string;
  mimeType: string;
  md5: string;
  /** Bytes, where the caller tells. */
  size?: bigint | undefined;
}

export type UploadAnswer =
  | { type: 'new'; s3Key: string; md5: Md5; upload: PresignedUpload }
  | { type: 'existing'; s3Key: string; md5: Md5 };

interface Ports extends LookPorts {
  store: Pick<FileStore, 'reserve' | 'adopt'> & LookPorts['store'];
  presigner: Pick<Presigner, 'presignUpload'>;
}

/**
 * Where to put a file: a URL, or the word that it is already there.
 *
 * A new file costs one statement and no call to S3. The intent is committed
 * before a URL exists, so whatever a URL can write has a row that remembers it.
 *
 * @throws FileError INVALID_*, FILE_TOO_LARGE, TOO_MANY_PENDING_UPLOADS, *_UNAVAILABLE
 */
export function createPresignedUpload(ports: Ports) {
  return async (userId: string, request: Request, deadline: Deadline): Promise<UploadAnswer> => {
    const intent = {
      userId,
      filename: parseFilename(request.filename),
      mimeType: parseMimeType(request.mimeType),
      md5: parseMd5(request.md5),
      size: parseUploadSize(request.size),
    };
    let suffix = '';
    while (Date.now() < deadline) {
      const plan = { ...intent, s3Key: s3Key(userId, intent.filename, suffix) };
      const reserved = await ports.store.reserve(plan, deadline);
      if (reserved.refused !== undefined) {
        if (reserved.refused === 'too many pending') throw tooManyPending(reserved.limit);
        if (reserved.refused === 'key taken') suffix = randomSuffix();
        continue;
      }
      const { file, created } = reserved;
      const answer = { s3Key: file.s3Key, md5: file.md5 };
      if (!created && (await isThere(ports, file, deadline))) return { type: 'existing', ...answer };
      // READY until this look: only now can it be reserved for an upload.
      if (file.state === 'ready') continue;

      const agreed = { ...intent, s3Key: file.s3Key };
      // If it is deleted at this moment, that was after this create: the tombstone
      // remembers the URL's life, and whatever it writes is removed.
      if (!created) await ports.store.adopt(agreed, deadline);
      return { type: 'new', ...answer, upload: await ports.presigner.presignUpload(agreed) };
    }
    throw new FileError('OVERLOADED', 'others create and delete this very file all the while; retry', {
      retryAfterMs: 1_000,
    });
  };
}

/** EXISTING is only ever said of bytes that S3 was seen to hold within the trust window. */
async function isThere(ports: LookPorts, file: UserFile, deadline: Deadline): Promise<boolean> {
  if (file.state === 'ready' && file.trusted) return true;
  return (await look(ports, file, deadline)).found === 'bytes';
}

function tooManyPending(limit: number): FileError {
  return new FileError(
    'TOO_MANY_PENDING_UPLOADS',
    `${limit} uploads of this user were asked for and not made; upload, or cancel with DeleteFile, or wait until their URLs expire`,
    { metadata: { limit: String(limit) } },
  );
}
