/** The samples in the documentation of Amazon S3 for EventBridge ("EventBridge event message structure"). */
import { describe, expect, it } from 'vitest';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { hintedFiles } from '../../src/hints/hinted-files.ts';

const BUCKET = 'amzn-s3-demo-bucket1';

const sampleOf = (type: string, object: object, detail: object) => ({
  version: '0',
  id: '17793124-05d4-b198-2fde-7ededc63b103',
  'detail-type': type,
  source: 'aws.s3',
  account: '111122223333',
  time: '2021-11-12T00:00:00Z',
  region: 'ca-central-1',
  resources: [`arn:aws:s3:::${BUCKET}`],
  detail: {
    version: '0',
    bucket: { name: BUCKET },
    object,
    'request-id': 'N4N7GDK58NMKJ12R',
    requester: '123456789012',
    'source-ip-address': '1.2.3.4',
    ...detail,
  },
});

const BYTES = { size: 5, etag: 'b1946ac92492d2347c6235b4d2611184' };
const VERSION = { 'version-id': 'IYV3p45BT0ac8hjHg1houSdS1a.Mro8e', sequencer: '617f08299329d189' };

const SAMPLES = {
  'a new object in a bucket with versions': (key: string) =>
    sampleOf('Object Created', { key, ...BYTES, ...VERSION }, { reason: 'PutObject' }),
  'an object of a multipart upload': (key: string) =>
    sampleOf('Object Created', { key, ...BYTES, ...VERSION }, { reason: 'CompleteMultipartUpload' }),
  'a deleted object': (key: string) =>
    sampleOf(
      'Object Deleted',
      { key, ...BYTES, ...VERSION },
      { reason: 'DeleteObject', 'deletion-type': 'Delete Marker Created' },
    ),
  'an object that a lifecycle rule has deleted': (key: string) =>
    sampleOf(
      'Object Deleted',
      { key, ...BYTES, ...VERSION },
      {
        requester: 's3.amazonaws.com',
        reason: 'Lifecycle Expiration',
        'deletion-type': 'Delete Marker Created',
      },
    ),
  'new tags of an object': (key: string) => sampleOf('Object Tags Added', { key, ...BYTES }, {}),
};

describe.each(Object.entries(SAMPLES))('the sample for %s', (_, sample) => {
  it('is a hint about its key, whatever has happened to the object', () => {
    const user = 'ada+1@example.com';
    const key = s3Key(user, 'Ein Brief +1 ü🦆.txt');
    expect(hintedFiles(sample(key), BUCKET)).toEqual([{ userId: user, s3Key: key }]);
  });

  it.each(['example-key', 'ada_red flower.jpg', 'ada_red+flower.jpg', 'ada_%20.jpg', 'ada_ü.jpg'])(
    'is ignored if its key is %s, which this service does not make',
    (key) => expect(hintedFiles(sample(key), BUCKET)).toEqual([]),
  );

  it('is ignored if it is about another bucket', () => {
    expect(hintedFiles(sample('ada_b'), 'amzn-s3-demo-bucket')).toEqual([]);
  });
});
