import { FileError, RETRY_AFTER_MS } from '../file-error.ts';
import type { PresignedUpload } from '../ports/presigner.ts';

/** gRPC's clients accept no message above 4 MiB by default. The rest is for the frames around the message. */
const ANSWER_MAX_BYTES = 4 * 1024 ** 2 - 4_096;

/** The bytes of a result without the texts of its answer, in JSON: names of fields, an MD5, a time. */
const RESULT_FIXED_BYTES = 400;

/** The bytes of an error in JSON. The longest names four fields, whose rules are in the message and in each violation. */
const ERROR_MAX_BYTES = 2_500;

/** The bytes of the error that says that there is no room. */
const NO_ROOM_BYTES = 600;

type Result = PromiseSettledResult<
  { type: 'existing'; s3Key: string } | { type: 'new'; s3Key: string; upload: PresignedUpload }
>;

/**
 * Replaces the answers for which the response has no room. This happens if the session token of the service's
 * credentials has several kB, because each URL contains the token.
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

/** An upper bound of the encoded size. In headers, JSON must escape only quotes and backslashes. */
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
