import { integer } from '../setting.ts';

/** Seven days, the longest lifetime of a SigV4 URL (Amazon S3 User Guide, "Presigned URLs"). */
const PRESIGN_TTL_MAX_SECONDS = 604_800;

const DAY_SECONDS = 86_400;

/**
 * How long an upload may take, and how long URLs and verifications are valid. A verification is the check that S3 has
 * the announced bytes.
 */
export const LIFETIMES = {
  urlSeconds: integer('PRESIGN_TTL_SECONDS', {
    min: 1,
    max: PRESIGN_TTL_MAX_SECONDS,
    default: 3_600,
    desc: 'The lifetime of an upload URL.',
  }),
  downloadSeconds: integer('DOWNLOAD_TTL_SECONDS', {
    min: 1,
    max: PRESIGN_TTL_MAX_SECONDS,
    default: 300,
    desc: 'The lifetime of a download URL.',
  }),
  verificationTtlSeconds: integer('VERIFICATION_TTL_SECONDS', {
    min: 0,
    max: DAY_SECONDS,
    default: 900,
    desc: 'How long a verification in S3 stays valid. After that, creates, GetFile and downloads verify the object again.',
  }),
  longestUploadSeconds: integer('LONGEST_UPLOAD_SECONDS', {
    min: 0,
    max: 7 * DAY_SECONDS,
    default: DAY_SECONDS,
    desc: 'The longest duration of a PUT that began before its URL expired. Rows are not purged earlier.',
  }),
};
