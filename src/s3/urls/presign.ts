/**
 * `src/s3/urls` decides what the URLs for clients may do: method, headers and lifetime (this file), the headers that
 * every upload sends (`upload-headers.ts`), and the headers of a download (`download-overrides.ts`). Computing a
 * signature does not belong here, but in `../signing`.
 */
import { setImmediate as nextRound } from 'node:timers/promises';
import type { PresignedUpload, Presigner, WholeUpload } from '../../files/ports/presigner.ts';
import type { Sign } from '../signing/sign.ts';
import { downloadOverrides } from './download-overrides.ts';
import { NO_UPLOAD_HEADERS, type UploadHeaders } from './upload-headers.ts';

interface PresignOptions {
  uploadSeconds: number;
  downloadSeconds: number;
  /** Default: none. */
  uploadHeaders?: UploadHeaders;
}

/** The number of URLs that a call signs at once. They take 0.1 ms. Then the event loop runs other calls. */
const URLS_PER_ROUND = 16;

/** Creates the URLs with which clients upload to S3 and download from S3 directly, until the URLs expire. */
export function createPresigner(
  sign: Sign,
  { uploadSeconds, downloadSeconds, uploadHeaders = NO_UPLOAD_HEADERS }: PresignOptions,
): Presigner {
  let lastPause: Promise<void> = Promise.resolve();
  /**
   * Waits for the next round of the event loop. Concurrent calls share one chain of pauses. So only one of these
   * calls signs a further batch in each round.
   */
  const pause = () => {
    lastPause = lastPause.then(() => nextRound());
    return lastPause;
  };
  const presignUpload = async ({ s3Key, mimeType, md5, size }: WholeUpload): Promise<PresignedUpload> => {
    const requiredHeaders: Record<string, string> = {
      'Content-Type': mimeType,
      'Content-MD5': md5,
      ...(size !== undefined && { 'Content-Length': String(size) }),
      ...uploadHeaders.whole,
    };
    const signed = await sign('PUT', s3Key, uploadSeconds, requiredHeaders);
    return { ...signed, requiredHeaders };
  };
  return {
    presignUpload,

    async presignUploads(uploads) {
      const signed: PresignedUpload[] = [];
      for (const upload of uploads) {
        if (signed.length > 0 && signed.length % URLS_PER_ROUND === 0) await pause();
        signed.push(await presignUpload(upload));
      }
      return signed;
    },

    async presignParts({ s3Key, uploadId, parts }) {
      const urls = [];
      let expireTime = new Date(8.64e15);
      for (const { number, md5, size } of parts) {
        if (urls.length > 0 && urls.length % URLS_PER_ROUND === 0) await pause();
        const requiredHeaders = { 'Content-MD5': md5, 'Content-Length': String(size), ...uploadHeaders.part };
        const query = { partNumber: String(number), uploadId };
        const signed = await sign('PUT', s3Key, uploadSeconds, requiredHeaders, query);
        urls.push({ number, url: signed.url, requiredHeaders });
        // The answer has the expiry time of the URL that expires first. That need not be the first URL, because
        // the S3 credentials may be renewed between two batches.
        if (signed.expireTime < expireTime) expireTime = signed.expireTime;
      }
      return { urls, expireTime };
    },

    presignDownload: ({ s3Key, filename, mimeType }) =>
      sign('GET', s3Key, downloadSeconds, {}, downloadOverrides({ filename, mimeType })),
  };
}
