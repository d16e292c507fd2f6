import { setImmediate as nextRound } from 'node:timers/promises';
import type { Presigner } from '../files/ports.ts';
import { downloadOverrides } from './download-overrides.ts';
import type { Sign } from './signing/sign.ts';

export interface PresignOptions {
  uploadSeconds: number;
  downloadSeconds: number;
}

/** Of this many parts the signatures take 1 ms; then other calls have their turn. */
const SIGNED_IN_A_TURN = 16;

/** What clients may do with S3 themselves, for a while. */
export function createPresigner(sign: Sign, { uploadSeconds, downloadSeconds }: PresignOptions): Presigner {
  let lastTurn: Promise<void> = Promise.resolve();
  /** One for each round of the event loop, however many calls sign parts at once: they take turns. */
  const turn = () => {
    lastTurn = lastTurn.then(() => nextRound());
    return lastTurn;
  };
  return {
    async presignUpload({ s3Key, mimeType, md5, size }) {
      const requiredHeaders: Record<string, string> = {
        'Content-Type': mimeType,
        'Content-MD5': md5,
        ...(size !== undefined && { 'Content-Length': String(size) }),
      };
      const signed = await sign('PUT', s3Key, uploadSeconds, requiredHeaders);
      return { ...signed, requiredHeaders };
    },

    async presignParts({ s3Key, uploadId, parts }) {
      const urls = [];
      let expireTime = new Date(8.64e15);
      for (const { number, md5, size } of parts) {
        if (urls.length > 0 && urls.length % SIGNED_IN_A_TURN === 0) await turn();
        const requiredHeaders = { 'Content-MD5': md5, 'Content-Length': String(size) };
        const query = { partNumber: String(number), uploadId };
        const signed = await sign('PUT', s3Key, uploadSeconds, requiredHeaders, query);
        urls.push({ number, url: signed.url, requiredHeaders });
        // Of all of them: the first was signed first, and credentials may have been renewed since.
        if (signed.expireTime < expireTime) expireTime = signed.expireTime;
      }
      return { urls, expireTime };
    },

    presignDownload: ({ s3Key, filename, mimeType }) =>
      sign('GET', s3Key, downloadSeconds, {}, downloadOverrides({ filename, mimeType })),
  };
}
