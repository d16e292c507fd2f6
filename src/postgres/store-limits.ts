/** The limits that the configuration sets for rows of the table. */
export interface StoreLimits {
  /** The lifetime of an upload URL. */
  urlSeconds: number;
  /** How long the service keeps a multipart upload after the last request for it. */
  multipartSeconds: number;
  /**
   * How long a verification counts. For this time after a verification of the object in S3, the service does
   * not ask S3 again.
   */
  verificationTtlSeconds: number;
  /** How long a PUT may still run after its URL has expired, if it began before. */
  longestUploadSeconds: number;
  /**
   * The cap on one user's pending uploads with a single PUT. A cancelled upload counts until its URL has
   * expired. Each upload has a number of its own up to this cap, in the column `pending_slot`. So the cap is at most
   * 32,767, the largest smallint.
   */
  pendingMax: number;
  /**
   * The cap on one user's pending multipart uploads. At most 32,767, for the same reason as `pendingMax`. Each upload
   * keeps up to 160 kB of MD5s in its row (10,000 MD5s of 16 bytes).
   */
  pendingMultipartMax: number;
  /** The maximum number of READY files that one page of a list with a prefix examines. Default: 10,000. */
  examinedMax?: number;
  /**
   * Whether the service delivers events (EVENTS_URL is set). Each change of a file then makes its event due, and a row
   * stays until its last event was delivered. Needs migration 0003. Default: `false`.
   */
  announcesChanges?: boolean;
}
