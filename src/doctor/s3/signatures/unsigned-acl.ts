import { no, type Row, yes } from '../../row.ts';
import { describe, isSuccess, refused, wasRefused, withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const unsignedAcl: Row<ProbedBucket> = {
  title: 'an upload URL cannot publish its object (x-amz-acl)',
  invariant: 'I4',
  meaning:
    'The holder of an upload URL can make the object readable for everyone, by a header that is not signed.',
  remedy:
    'See "Other servers than Amazon’s" in src/doctor/README.md: a proxy that refuses such headers, or IgnorePublicAcls.',
  async probe(bucket) {
    const key = bucket.key('acl');
    const signed = headersOfUpload(bucket);
    const sent = { 'x-amz-acl': 'public-read' };
    const put = await bucket.send({ method: 'PUT', key, signed, sent, body: SAMPLE_BYTES });
    const unknown = await withoutUploads(bucket);
    if (unknown !== undefined) return unknown;
    if (!isSuccess(put)) return refused(put);
    const get = await bucket.send({ method: 'GET', key, signature: 'none' });
    if (wasRefused(get)) return yes(`${describe(put)}, but a GET without a signature: ${describe(get)}`);
    return no(`${describe(put)}, and a GET without a signature: ${describe(get)}`);
  },
};
