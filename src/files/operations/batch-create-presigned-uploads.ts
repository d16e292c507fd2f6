import type { Call } from '../call.ts';
import { FileError, withFields } from '../file-error.ts';
import { parseBatch } from '../rules/batch.ts';
import { createPresignedUpload, type UploadAnswer } from './create-presigned-upload.ts';

type Ports = Parameters<typeof createPresignedUpload>[0];
type Request = Parameters<ReturnType<typeof createPresignedUpload>>[1];

/** The answer of one request of the batch, or its error. */
export type UploadResult = PromiseSettledResult<UploadAnswer>;

/**
 * Handles each request as CreatePresignedUpload does, in their order.
 *
 * @throws FileError INVALID_BATCH_SIZE, *_UNAVAILABLE
 */
export function batchCreatePresignedUploads(ports: Ports) {
  const createOne = createPresignedUpload(ports);
  return async (call: Call, requests: readonly Request[]): Promise<UploadResult[]> => {
    const results: UploadResult[] = [];
    for (const [index, request] of parseBatch('requests', requests).entries()) {
      const [result] = await Promise.allSettled([createOne(call, request)]);
      if (result.status === 'rejected' && result.reason instanceof FileError) {
        result.reason = withFields(result.reason, (field) => `requests[${index}].${field}`);
      }
      results.push(result);
    }
    return results;
  };
}
