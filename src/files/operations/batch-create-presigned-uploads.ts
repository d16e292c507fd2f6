import { type AgreePorts, agreeOnFiles } from '../agree-on-files.ts';
import type { Call } from '../call.ts';
import { FileError, withFields } from '../file-error.ts';
import type { Presigner } from '../ports/presigner.ts';
import type { Reserved } from '../reserve-file.ts';
import { parseBatch } from '../rules/batch.ts';
import { limitAnswers } from '../rules/batch-answers.ts';
import { parseUpload, type UploadAnswer, type UploadRequest } from './create-presigned-upload.ts';
import { mapInSlices } from './in-slices.ts';

interface Ports extends AgreePorts {
  presigner: Pick<Presigner, 'presignUploads'>;
}

/** The answer to one request of the batch, or its error. */
export type UploadResult = PromiseSettledResult<UploadAnswer>;

type Upload = ReturnType<typeof parseUpload>;

/** A valid request, and its file in the store; or the error of the request. */
type Agreed = PromiseSettledResult<{ upload: Upload; reserved: Reserved }>;

/**
 * Gives each request the answer that it would get if CreatePresignedUpload were called for one request after the other.
 * A batch of new files usually costs three Postgres statements, however many the files are. Files that may exist
 * already are verified in S3, several at once.
 *
 * @throws FileError INVALID_BATCH_SIZE, *_UNAVAILABLE
 */
export function batchCreatePresignedUploads(ports: Ports) {
  return async (call: Call, requests: readonly UploadRequest[]): Promise<UploadResult[]> => {
    const parsed = await mapInSlices(parseBatch('requests', requests), parseItem);
    const uploads = parsed.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    const files = await agreeOnFiles(call, ports, uploads);
    const agreed = parsed.map((one): Agreed => {
      if (one.status === 'rejected') return one;
      const file = files.get(one.value);
      if (file === undefined) throw new Error('a request of the batch has no outcome');
      return file.status === 'rejected'
        ? file
        : { ...file, value: { upload: one.value, reserved: file.value } };
    });
    const failure = agreed.find(isOwnFailure);
    if (failure !== undefined) ports.observer.stepFailed('create an upload of a batch', failure.reason);
    return limitAnswers(await sign(ports.presigner, agreed));
  };
}

function parseItem(request: UploadRequest, index: number): PromiseSettledResult<Upload> {
  try {
    return { status: 'fulfilled', value: parseUpload(request) };
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return { status: 'rejected', reason: withFields(error, (field) => `requests[${index}].${field}`) };
  }
}

/**
 * Whether an error shows a failure of the service, and not a mistake in the request. `src/rpc/call-policy.ts` logs only
 * the errors of whole calls, so this operation itself logs the first such error of a batch.
 */
function isOwnFailure(agreed: Agreed): agreed is PromiseRejectedResult {
  if (agreed.status === 'fulfilled') return false;
  return !(agreed.reason instanceof FileError) || agreed.reason.cause !== undefined;
}

async function sign(
  presigner: Pick<Presigner, 'presignUploads'>,
  agreed: readonly Agreed[],
): Promise<UploadResult[]> {
  const pending = agreed.flatMap((one) =>
    one.status === 'fulfilled' && one.value.reserved.status === 'pending' ? one.value : [],
  );
  const signed = await presigner.presignUploads(
    pending.map(({ upload, reserved }) => ({ ...upload, s3Key: reserved.file.s3Key })),
  );
  const urls = new Map(pending.map(({ upload }, index) => [upload, signed[index]]));
  return agreed.map((one): UploadResult => {
    if (one.status === 'rejected') return one;
    const { upload, reserved } = one.value;
    const { md5 } = upload;
    const { s3Key } = reserved.file;
    const url = urls.get(upload);
    const value: UploadAnswer =
      url === undefined ? { type: 'existing', s3Key, md5 } : { type: 'new', s3Key, md5, upload: url };
    return { status: 'fulfilled', value };
  });
}
