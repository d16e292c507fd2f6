import { S3Error } from '../errors.ts';
import type { Answer, BucketCall, ObjectCall } from '../operation.ts';
import { xmlAnswer } from '../operation.ts';
import { childText, malformed, parseXml, xmlDocument } from '../xml.ts';

/** Idempotent, as in S3: deleting a missing object succeeds. */
export async function deleteObject({ objects, bucket, key }: ObjectCall): Promise<Answer> {
  await objects.remove(bucket, key);
  return { status: 204 };
}

/** S3's limit on the keys of one request. */
const KEYS_MAX = 1000;

export async function deleteObjects({ request, body, objects, bucket }: BucketCall): Promise<Answer> {
  objects.assertBucket(bucket);
  const proofs = [...request.headers.keys()].filter((name) =>
    /^(content-md5|x-amz-checksum-.*|x-amz-trailer)$/.test(name),
  );
  if (proofs.length === 0) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5');
  }
  const document = parseXml(await body.text(), 'Delete');
  const keys = document.children
    .filter((child) => child.name === 'Object')
    .map((child) => {
      const key = childText(child, 'Key');
      if (key === undefined || key === '') throw malformed();
      if (childText(child, 'VersionId') !== undefined) {
        throw new S3Error('NotImplemented', 'This development store keeps no versions');
      }
      return key;
    });
  if (keys.length === 0 || keys.length > KEYS_MAX) throw malformed();
  for (const key of keys) await objects.remove(bucket, key);
  const quiet = childText(document, 'Quiet') === 'true';
  return xmlAnswer(xmlDocument('DeleteResult', { Deleted: quiet ? [] : keys.map((key) => ({ Key: key })) }));
}
