import type { Call } from '../call.ts';
import { beginUpload, type OpenUploadPorts, openUpload } from '../open-upload.ts';
import { parseFields } from '../parse-fields.ts';
import type { FileStore } from '../ports/file-store.ts';
import { type ReservePorts, reserveFile } from '../reserve-file.ts';
import { parseFilename } from '../rules/filename.ts';
import { multipartFingerprint } from '../rules/fingerprint.ts';
import { parseMimeType } from '../rules/mime-type.ts';
import { type PartRule, parsePartPlan } from '../rules/part-plan.ts';
import { compareParts } from '../rules/parts.ts';
import type { S3Key } from '../rules/s3-key.ts';

interface Request {
  filename: string;
  mimeType: string;
  /** Bytes. */
  size: bigint;
  /** 16 bytes for each part, in part order. */
  partMd5s: readonly Uint8Array[];
}

type MultipartAnswer =
  | { type: 'new'; s3Key: S3Key; partSize: number; missingPartNumbers: number[]; expireTime: Date }
  | { type: 'existing'; s3Key: S3Key; partSize: number };

interface Ports extends ReservePorts, OpenUploadPorts {
  store: Pick<FileStore, 'updateIntent'> & ReservePorts['store'] & OpenUploadPorts['store'];
}

interface Rules extends PartRule {
  /** How long an upload can be resumed after the last call that renewed it. */
  lifeSeconds: number;
}

/**
 * Begins a multipart upload, or resumes it. The answer lists the parts that S3 does not hold. The row of the file is
 * committed before the upload begins in S3, as with a single PUT. So every upload in S3 has a row, with which a later
 * call or the sweeper (`../maintenance/sweeper.ts`) finds the upload, and completes or removes it.
 *
 * @throws FileError INVALID_*, FILE_TOO_LARGE, TOO_MANY_PENDING_UPLOADS, OVERLOADED, *_UNAVAILABLE, STORAGE_REFUSED
 */
export function createMultipartUpload(ports: Ports, rules: Rules) {
  return async (call: Call, request: Request): Promise<MultipartAnswer> => {
    const { plan, ...fields } = parseFields({
      filename: () => parseFilename(request.filename),
      mimeType: () => parseMimeType(request.mimeType),
      plan: () => parsePartPlan(request.size, request.partMd5s, rules),
    });
    const intent = {
      ...fields,
      fingerprint: multipartFingerprint(request.partMd5s),
      size: plan.size,
      parts: { partSize: plan.partSize, md5s: Buffer.concat(request.partMd5s) },
    };
    for (;;) {
      const expireTime = new Date(Date.now() + rules.lifeSeconds * 1_000);
      const reserved = await reserveFile(call, ports, intent);
      const { file } = reserved;
      const answer = { s3Key: file.s3Key, partSize: plan.partSize };
      if (reserved.status === 'exists') return { type: 'existing', ...answer };

      const open = reserved.created ? beginUpload : openUpload;
      const upload = await open(call, ports, reserved.file);
      // Undefined: a concurrent call has just completed or deleted the file, so the loop reserves again.
      if (upload === undefined) continue;
      // S3 keeps the MIME type with which the upload began, so the row keeps it too.
      const agreed = { ...intent, s3Key: file.s3Key, mimeType: file.mimeType };
      if (!reserved.created) await ports.store.updateIntent(call, agreed);
      const { missing, wrong } = compareParts(upload.parts, { ...plan, md5s: intent.parts.md5s });
      const missingPartNumbers = [...missing, ...wrong].sort((a, b) => a - b);
      return { type: 'new', ...answer, missingPartNumbers, expireTime };
    }
  };
}
