/**
 * Codings that do not change the stored bytes. `identity` means no coding. `aws-chunked` describes how the
 * body of a PUT was sent: S3 removes the framing before it computes the ETag. Amazon S3 also removes the word
 * `aws-chunked` from the object's Content-Encoding, while Ceph RGW and versitygw keep it. An object that an AWS SDK
 * put back into Ceph RGW or versitygw from a backup therefore has this coding, and its bytes are intact.
 */
const HARMLESS_CODINGS = new Set(['', 'identity', 'aws-chunked']);

/**
 * Whether a client that obeys this Content-Encoding gives its user other bytes than the stored ones, or may refuse
 * the stored ones. The result is also true for unknown codings, because each client treats them in its own way. An
 * empty text means that the header is missing.
 */
export function changesBytes(contentEncoding: string): boolean {
  return contentEncoding.split(',').some((coding) => !HARMLESS_CODINGS.has(coding.trim().toLowerCase()));
}
