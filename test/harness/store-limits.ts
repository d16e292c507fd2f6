import type { StoreLimits } from '../../src/postgres/store-limits.ts';

/** The limits that the service has by default. */
export const STORE_LIMITS: StoreLimits = {
  urlSeconds: 3_600,
  verificationTtlSeconds: 900,
  longestUploadSeconds: 86_400,
  multipartSeconds: 604_800,
  pendingMax: 1_000,
  pendingMultipartMax: 100,
};
