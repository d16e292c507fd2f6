/**
 * Chooses the operation of a request by its method, its target (bucket or object) and the sub-resource in its
 * query.
 */
import { S3Error } from './errors.ts';
import type { Answer, Call } from './operation.ts';
import { createBucket, headBucket } from './operations/buckets.ts';
import { getObject } from './operations/get-object.ts';
import { listObjectsV2 } from './operations/list-objects.ts';
import { listMultipartUploads, listParts } from './operations/list-uploads.ts';
import {
  abortMultipartUpload,
  assembleMultipartUpload,
  initiateMultipartUpload,
  uploadPart,
} from './operations/multipart.ts';
import { deleteObject, putObject } from './operations/put-object.ts';

const BUCKET_OPERATIONS = {
  'PUT ': createBucket,
  'HEAD ': headBucket,
  'GET list-type': listObjectsV2,
  'GET uploads': listMultipartUploads,
} as const;

const OBJECT_OPERATIONS = {
  'PUT ': putObject,
  'HEAD ': getObject,
  'GET ': getObject,
  'DELETE ': deleteObject,
  'POST uploads': initiateMultipartUpload,
  'PUT partNumber uploadId': uploadPart,
  'GET uploadId': listParts,
  'POST uploadId': assembleMultipartUpload,
  'DELETE uploadId': abortMultipartUpload,
} as const;

/**
 * The query parameters that select an operation in S3. A request is refused if its combination of these
 * parameters is not in the tables above. Otherwise `GET ?acl` would return the object instead of its access
 * control list.
 */
const SUBRESOURCES = new Set(
  (
    'accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle ' +
    'list-type location logging metrics notification object-lock ownershipControls partNumber policy policyStatus ' +
    'publicAccessBlock renameObject replication requestPayment restore retention select tagging torrent uploadId ' +
    'uploads versionId versioning versions website'
  ).split(' '),
);

export async function route(call: Call): Promise<Answer> {
  const { method, bucket, key, query } = call.request;
  const asked = [...new Set(query.map(([name]) => name).filter((name) => SUBRESOURCES.has(name)))].sort();
  const operation = `${method} ${asked.join(' ')}`;
  if (bucket !== undefined && key !== undefined && isIn(OBJECT_OPERATIONS, operation)) {
    return OBJECT_OPERATIONS[operation]({ ...call, bucket, key });
  }
  if (bucket !== undefined && key === undefined && isIn(BUCKET_OPERATIONS, operation)) {
    return BUCKET_OPERATIONS[operation]({ ...call, bucket });
  }
  throw new S3Error(
    'NotImplemented',
    'This development store does not know that operation. src/dev/object-store/route.ts lists the known operations.',
    { Operation: operation.trim() },
  );
}

function isIn<T extends object>(table: T, name: PropertyKey): name is keyof T {
  return Object.hasOwn(table, name);
}
