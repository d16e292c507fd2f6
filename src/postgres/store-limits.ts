/** What the configuration decides about rows. */
export interface StoreLimits {
  /** The lifetime of an upload URL. */
  urlSeconds: number;
  /** A multipart upload is kept for this time after the last request for it. */
  multipartSeconds: number;
  /** For this time after a verification of the object in S3, the service does not verify it again. */
  verificationTtlSeconds: number;
  /** A PUT that began before its URL expired may finish up to this time after the expiry. */
  longestUploadSeconds: number;
  /**
   * The cap on one user's pending uploads with a single PUT. A cancelled upload counts until its URL has
   * expired. At most 32,767, the largest smallint, because the column `pending_slot` is a smallint.
   */
  pendingMax: number;
  /**
   * The cap on one user's pending multipart uploads. At most 32,767 as well. Each upload keeps up to 160 kB
   * of MD5s in its row (10,000 parts of 16 bytes).
   */
  pendingMultipartMax: number;
  /** The maximum of READY files that one page of a list with a prefix examines. Default: 10,000. */
  examinedMax?: number;
}
