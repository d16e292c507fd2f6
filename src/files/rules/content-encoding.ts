/**
 * Codings that say nothing about the stored bytes. `identity` is no coding. `aws-chunked` describes how a PUT's body
 * travelled: S3 removes the framing before it computes the ETag, Amazon's drops the word too, while Ceph RGW and
 * versitygw keep it. An object that was restored to such a server with an AWS SDK has it, and is whole.
 */
const HARMLESS_CODINGS = new Set(['', 'identity', 'aws-chunked']);

/**
 * Whether a client that obeys this Content-Encoding delivers other bytes than the stored ones, or may refuse them. Codings
 * that nobody knows count too: what a client makes of them is its own choice. An empty text means that there is no header.
 */
export function changesBytes(contentEncoding: string): boolean {
  return contentEncoding.split(',').some((coding) => !HARMLESS_CODINGS.has(coding.trim().toLowerCase()));
}
