import type { Md5 } from '../rules/md5.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** An upload with a single PUT. */
export interface WholeUpload {
  s3Key: S3Key;
  mimeType: string;
  md5: Md5;
  size: number | undefined;
}

export interface PresignedUpload {
  url: string;
  requiredHeaders: Record<string, string>;
  expireTime: Date;
}

export interface PresignedParts {
  urls: { number: number; url: string; requiredHeaders: Record<string, string> }[];
  /** When the first of the URLs expires. */
  expireTime: Date;
}

export interface PresignedDownload {
  url: string;
  expireTime: Date;
}

/** Signs URLs without a request to S3. A method may wait for new credentials if the current ones have expired. */
export interface Presigner {
  /**
   * Signs a PUT that S3 accepts for exactly these bytes: their MD5 and type are signed, and their size if it
   * is known.
   */
  presignUpload(upload: WholeUpload): Promise<PresignedUpload>;

  /**
   * Signs a PUT for each of many uploads, as `presignUpload` does, and returns them in the order of the uploads. While
   * this method signs, the event loop also serves other calls.
   */
  presignUploads(uploads: readonly WholeUpload[]): Promise<PresignedUpload[]>;

  /** Signs PUTs of parts. S3 accepts each PUT for exactly the bytes of its part. */
  presignParts(upload: {
    s3Key: S3Key;
    uploadId: string;
    parts: readonly { number: number; md5: string; size: number }[];
  }): Promise<PresignedParts>;

  /**
   * Signs a GET that answers as an attachment with this name and type. The response does not contain the
   * other headers that an uploader can store with an object (Content-Encoding, Cache-Control, Expires,
   * Content-Language): the signed parameters override them.
   */
  presignDownload(download: { s3Key: S3Key; filename: string; mimeType: string }): Promise<PresignedDownload>;
}
