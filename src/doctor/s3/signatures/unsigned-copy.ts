import { no, type Row, yes } from '../../row.ts';
import { describe, isSuccess, refused, withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const unsignedCopy: Row<ProbedBucket> = {
  title: 'an upload URL cannot copy another object (x-amz-copy-source)',
  invariant: 'I4',
  meaning: 'The holder of an upload URL can copy any object whose key they guess, and read the copy.',
  remedy:
    'See "Other servers than Amazon’s" in src/doctor/README.md: a proxy that refuses such headers, or the policy.',
  async probe(bucket) {
    const { key: source } = await bucket.sample();
    const unknown = await withoutUploads(bucket);
    if (unknown !== undefined) return unknown;
    const key = bucket.key('copy');
    const own = Buffer.from('other bytes than those of the sample');
    const signed = headersOfUpload(bucket, own);
    const sent = { 'x-amz-copy-source': `/${bucket.settings.bucket}/${source}` };
    const put = await bucket.send({ method: 'PUT', key, signed, sent, body: own });
    if (!isSuccess(put)) return refused(put);
    const { body } = await bucket.send({ method: 'GET', key });
    if (body === SAMPLE_BYTES.toString()) return no(`${describe(put)}, copied`);
    return yes(`${describe(put)}, the header was ignored`);
  },
};
