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
  store: Pick<FileStore, 'reserve'> & LookPorts['store'];
  presigner: Pick<Presigner, 'presignUpload'>;
}

// The first try is the plain key, each later one has 40 random bits: more than a
// few mean that others create and delete this very content all the while.
const RESERVE_TRIES = 8;

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
    for (let tries = 0; tries < RESERVE_TRIES; tries++) {
      const reserved = await ports.store.reserve({
        ...intent,
        s3Key: s3Key(userId, intent.filename, suffix),
      });
      if (reserved === undefined) {
        suffix = randomSuffix();
        continue;
      }
      const { file, created } = reserved;
      const verdict = created ? 'upload' : await settle(ports, file, deadline);
      if (verdict === 'existing') return { type: 'existing', s3Key: file.s3Key, md5: file.md5 };
      if (verdict === 'upload') {
        const upload = await ports.presigner.presignUpload({ ...intent, s3Key: file.s3Key });
        return { type: 'new', s3Key: file.s3Key, md5: file.md5, upload };
      }
    }
    throw new FileError('OVERLOADED', 'this file is created and deleted by others all the while; retry', {
      retryAfterMs: 1_000,
    });
  };
}

/** What a file that was there before means for the caller; `reserve again` where its row has changed since. */
async function settle(
  ports: LookPorts,
  file: UserFile,
  deadline: Deadline,
): Promise<'existing' | 'upload' | 'reserve again'> {
  if (file.state === 'ready' && file.trusted) return 'existing';
  const seen = await look(ports, file, deadline);
  if (seen.found === 'bytes') return 'existing';
  // A pending row was renewed by the reservation and can be signed for. One
  // that was READY until this look, or is deleted by now, has no URL's life yet.
  return seen.found !== 'deleted' && file.state === 'pending' ? 'upload' : 'reserve again';
}
