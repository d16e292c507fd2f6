import { FileError, RETRY_AFTER_MS } from '../file-error.ts';
import type { PresignedUpload } from '../ports/presigner.ts';

/**
 * The largest response of a batch. By default, gRPC's clients accept no message above 4 MiB. The 4,096 bytes below this
 * limit are a reserve for the response's own framing.
 */
const ANSWER_MAX_BYTES = 4 * 1024 ** 2 - 4_096;

/** The most bytes of a result in JSON without its key, URL and headers: field names, an MD5, a time. */
const RESULT_FIXED_BYTES = 400;

/**
 * The most bytes of an error in JSON. The longest error says that all four fields of a request are wrong. It states the
 * rule of each field twice: in its message and in the violation of the field.
 */
const ERROR_MAX_BYTES = 2_500;

/** The most bytes of the error of `noRoom` in JSON. */
const NO_ROOM_BYTES = 600;

type Result = PromiseSettledResult<
  { type: 'existing'; s3Key: string } | { type: 'new'; s3Key: string; upload: PresignedUpload }
>;

/**
 * Replaces the answers for which the response has no room with the error of `noRoom`. This happens only if the session
 * token of the service's S3 credentials has several kB, because each URL contains the token.
 */
export function limitAnswers<One extends Result>(results: readonly One[]): (One | PromiseRejectedResult)[] {
  let bytes = results.length * NO_ROOM_BYTES;
  return results.map((result) => {
    const more = bytesMax(result) - NO_ROOM_BYTES;
    if (bytes + more > ANSWER_MAX_BYTES) return { status: 'rejected', reason: noRoom() };
    bytes += more;
    return result;
  });
}

/**
 * An upper bound of a result's size in JSON, which is larger than in binary Protobuf. A header counts twice its length,
 * because JSON may have to escape each of its characters (quotes and backslashes) with a second character.
 */
function bytesMax(result: Result): number {
  if (result.status === 'rejected') return ERROR_MAX_BYTES;
  const { value } = result;
  if (value.type === 'existing') return RESULT_FIXED_BYTES + value.s3Key.length;
  const { url, requiredHeaders } = value.upload;
  const headers = Object.entries(requiredHeaders).map(([name, text]) => name.length + 2 * text.length + 8);
  return RESULT_FIXED_BYTES + value.s3Key.length + url.length + headers.reduce((sum, one) => sum + one, 0);
}

function noRoom(): FileError {
  return new FileError(
    'OVERLOADED',
    'the response has no room for the URL of this request; send the request again in another call',
    { retryAfterMs: RETRY_AFTER_MS },
  );
}
