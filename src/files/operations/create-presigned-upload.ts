import type { Deadline } from '../deadline.ts';
import type { FileStore, PresignedUpload, Presigner } from '../ports.ts';
import { type ReservePorts, reserveFile } from '../reserve-file.ts';
import { parseFilename } from '../rules/filename.ts';
import { fingerprintOf } from '../rules/fingerprint.ts';
import { type Md5, parseMd5 } from '../rules/md5.ts';
import { parseMimeType } from '../rules/mime-type.ts';
import { parseUploadSize } from '../rules/upload-size.ts';

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

interface Ports extends ReservePorts {
  store: Pick<FileStore, 'updateIntent'> & ReservePorts['store'];
  presigner: Pick<Presigner, 'presignUpload'>;
}

/**
 * Where to put a file: a URL, or the word that it is already there.
 *
 * @throws FileError INVALID_*, FILE_TOO_LARGE, TOO_MANY_PENDING_UPLOADS, OVERLOADED, *_UNAVAILABLE
 */
export function createPresignedUpload(ports: Ports) {
  return async (userId: string, request: Request, deadline: Deadline): Promise<UploadAnswer> => {
    const md5 = parseMd5(request.md5);
    const intent = {
      userId,
      filename: parseFilename(request.filename),
      mimeType: parseMimeType(request.mimeType),
      fingerprint: fingerprintOf(md5),
      size: parseUploadSize(request.size),
    };
    const reserved = await reserveFile(ports, intent, deadline);
    const { s3Key } = reserved.file;
    if (reserved.status === 'exists') return { type: 'existing', s3Key, md5 };

    const agreed = { ...intent, s3Key };
    // If it is deleted at this moment, that was after this create: the tombstone
    // remembers the URL's life, and whatever it writes is removed.
    if (!reserved.created) await ports.store.updateIntent(agreed, deadline);
    const upload = await ports.presigner.presignUpload({ ...agreed, md5 });
    return { type: 'new', s3Key, md5, upload };
  };
}
