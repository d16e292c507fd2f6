/**
 * Codings that do not change the stored bytes. `identity` means no coding. `aws-chunked` describes how the
 * body of a PUT was sent: S3 removes the framing before it computes the ETag. Amazon S3 also drops the word,
 * while Ceph RGW and versitygw keep it. An object that was restored to such a server with an AWS SDK has this
 * coding and is intact.
 */
const HARMLESS_CODINGS = new Set(['', 'identity', 'aws-chunked']);

/**
 * Whether a client that obeys this Content-Encoding delivers other bytes than the stored ones, or may refuse
 * them. Unknown codings count too, because each client decides what it makes of them. An empty text means
 * that the header is missing.
 */
export function changesBytes(contentEncoding: string): boolean {
  return contentEncoding.split(',').some((coding) => !HARMLESS_CODINGS.has(coding.trim().toLowerCase()));
}
