import type { Row } from '../row.ts';
import { usable } from './bucket/usable.ts';
import { aborted } from './multipart/aborted.ts';
import { age } from './multipart/age.ts';
import { completed } from './multipart/completed.ts';
import { multipartEtag } from './multipart/etag.ts';
import { listParts } from './multipart/list-parts.ts';
import { listed } from './multipart/listed.ts';
import { partOtherBytes } from './multipart/other-bytes.ts';
import { attachment } from './objects/attachment.ts';
import { cors } from './objects/cors.ts';
import { objectListed } from './objects/listed.ts';
import { missing } from './objects/missing.ts';
import { overrides } from './objects/overrides.ts';
import { removed } from './objects/removed.ts';
import { versioning } from './objects/versioning.ts';
import type { ProbedBucket } from './probed-bucket.ts';
import { anonymousGet } from './signatures/anonymous-get.ts';
import { clock } from './signatures/clock.ts';
import { expiredUrl } from './signatures/expired-url.ts';
import { publicEndpoint } from './signatures/public-endpoint.ts';
import { unsignedAcl } from './signatures/unsigned-acl.ts';
import { unsignedCopy } from './signatures/unsigned-copy.ts';
import { wrongSignature } from './signatures/wrong-signature.ts';
import { accepted } from './uploads/accepted.ts';
import { contentType } from './uploads/content-type.ts';
import { encryption } from './uploads/encryption.ts';
import { etag } from './uploads/etag.ts';
import { longestKey } from './uploads/longest-key.ts';
import { otherBytes } from './uploads/other-bytes.ts';
import { otherLength } from './uploads/other-length.ts';
import { otherMd5 } from './uploads/other-md5.ts';
import { otherType } from './uploads/other-type.ts';

/** The rows that are examined in every usable bucket, in the order in which the report prints them. */
const ROWS: readonly Row<ProbedBucket>[] = [
  accepted,
  ...[wrongSignature, expiredUrl, anonymousGet, unsignedAcl, unsignedCopy, clock],
  ...[otherBytes, otherMd5, otherType, otherLength, etag, contentType, longestKey, encryption],
  ...[completed, partOtherBytes, listParts, multipartEtag, listed, aborted, age],
  ...[missing, removed, objectListed, attachment, overrides, versioning],
];

/** The rows about the bucket. Two of them need a setting: S3_PUBLIC_ENDPOINT, and `--origin` of the command. */
export function bucketRows(given: { publicEndpoint: boolean; origin: boolean }): {
  premise: Row<ProbedBucket>;
  rows: readonly Row<ProbedBucket>[];
} {
  const rows = [...ROWS, ...(given.publicEndpoint ? [publicEndpoint] : []), ...(given.origin ? [cors] : [])];
  return { premise: usable, rows };
}
