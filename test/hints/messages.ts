/**
 * Messages about new objects as S3 servers send them. Their members are those of real messages, in particular all that
 * contain the bucket and the key.
 */

type Message = (bucket: string, key: string) => unknown;

/** Ceph RGW 16.2 does not escape keys, and its event names have no `s3:`. */
export const ofCephRgw: Message = (bucket, key) => ({
  Records: [
    {
      eventVersion: '2.2',
      eventSource: 'ceph:s3',
      awsRegion: '',
      eventTime: '2026-11-27T04:05:51.537398Z',
      eventName: 'ObjectCreated:Put',
      userIdentity: { principalId: 'test' },
      requestParameters: { sourceIPAddress: '' },
      responseElements: { 'x-amz-request-id': '2ff13702.4129.9455', 'x-amz-id-2': '1021-default-default' },
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'file-service',
        // The bucket of a tenant has the name without the tenant.
        bucket: {
          name: bucket,
          ownerIdentity: { principalId: 'tenant$test' },
          arn: `arn:aws:s3::tenant:${bucket}`,
          id: '2ff13702-9a9d-4118-825c-cf89a7a9212a.4131.1',
        },
        object: {
          key,
          size: 6,
          eTag: 'b1946ac92492d2347c6235b4d2611184',
          versionId: '',
          sequencer: '9F01096B2E822520',
          metadata: [{ key: 'x-amz-date', val: '20261127T040550Z' }],
          tags: [],
        },
      },
      eventId: '1795752351.539329.b1946ac92492d2347c6235b4d2611184',
      opaqueData: '',
    },
  ],
});

/** A MinIO-compatible server has the key twice: escaped as the query of a URL, and after the bucket. */
export const ofMinio: Message = (bucket, key) => ({
  EventName: 's3:ObjectCreated:Put',
  Key: `${bucket}/${key}`,
  Records: [
    {
      eventVersion: '2.0',
      eventSource: 'minio:s3',
      awsRegion: '',
      eventTime: '2026-11-27T04:05:51.537Z',
      eventName: 's3:ObjectCreated:Put',
      userIdentity: { principalId: 'test' },
      requestParameters: { principalId: 'test', region: '', sourceIPAddress: '127.0.0.1' },
      responseElements: { 'x-amz-request-id': '15CFEDF8D4736ED9', 'x-minio-deployment-id': '0170a4cc' },
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'Config',
        bucket: { name: bucket, ownerIdentity: { principalId: 'test' }, arn: `arn:aws:s3:::${bucket}` },
        object: {
          key: new URLSearchParams({ key }).toString().slice('key='.length),
          size: 6,
          eTag: 'b1946ac92492d2347c6235b4d2611184',
          contentType: 'text/plain',
          userMetadata: { 'content-type': 'text/plain' },
          sequencer: '15CFEDF8D5304D1A',
        },
      },
      source: { host: '127.0.0.1', port: '', userAgent: 'curl' },
    },
  ],
});

export const ofAmazonS3: Message = (bucket, key) => ({
  Records: [
    {
      eventVersion: '2.3',
      eventSource: 'aws:s3',
      awsRegion: 'eu-central-1',
      eventTime: '2026-11-27T04:05:51.537Z',
      eventName: 'ObjectCreated:Put',
      userIdentity: { principalId: 'AWS:AIDAJDPLRKLG7UEXAMPLE' },
      requestParameters: { sourceIPAddress: '127.0.0.1' },
      responseElements: { 'x-amz-request-id': 'C3D13FE58DE4C810', 'x-amz-id-2': 'FMyUVURIY8/IgAtTv8xR' },
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'file-service',
        bucket: {
          name: bucket,
          ownerIdentity: { principalId: 'A3NL1KOZZKExample' },
          arn: `arn:aws:s3:::${bucket}`,
        },
        object: {
          key: encodeURIComponent(key).replaceAll('%20', '+'),
          size: 6,
          eTag: 'b1946ac92492d2347c6235b4d2611184',
          sequencer: '0055AED6DCD90281E5',
        },
      },
    },
  ],
});

/** versitygw 1.8 sends the key as it stands in the path of the request, and members that are null. */
const ofVersitygw: Message = (bucket, key) => ({
  Records: [
    {
      eventVersion: '2.2',
      eventSource: 'aws:s3',
      awsRegion: 'us-east-1',
      eventTime: '2026-11-27T04:05:51Z',
      eventName: 's3:ObjectCreated:Put',
      userIdentity: { PrincipalId: 'test-access' },
      requestParameters: { sourceIPAddress: '127.0.0.1' },
      responseElements: { 'x-amz-request-id': '', 'x-amz-id-2': '' },
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'webhook-global',
        bucket: {
          name: bucket,
          ownerIdentity: { PrincipalId: 'test-access' },
          arn: `arn:aws:s3:::/${bucket}`,
        },
        object: { key, size: 6, eTag: 'b1946ac9', versionId: null, sequencer: '18A1F0B2C3D4E5F6' },
      },
      glacierEventData: {
        restoreEventData: { lifecycleRestorationExpiryTime: '', lifecycleRestoreStorageClass: '' },
      },
    },
  ],
});

export const ofEventBridge: Message = (bucket, key) => ({
  version: '0',
  id: '17793124-05d4-b198-2fde-7ededc63b103',
  'detail-type': 'Object Created',
  source: 'aws.s3',
  account: '111122223333',
  time: '2026-11-27T04:05:51Z',
  region: 'eu-central-1',
  resources: [`arn:aws:s3:::${bucket}`],
  detail: {
    version: '0',
    bucket: { name: bucket },
    object: {
      key,
      size: 5,
      etag: 'b1946ac92492d2347c6235b4d2611184',
      sequencer: '617f08299329d189',
    },
    'request-id': 'N4N7GDK58NMKJ12R',
    requester: '123456789012',
    'source-ip-address': '1.2.3.4',
    reason: 'PutObject',
  },
});

export const SENDERS = {
  'Ceph RGW': ofCephRgw,
  'a MinIO-compatible server': ofMinio,
  'Amazon S3': ofAmazonS3,
  versitygw: ofVersitygw,
  EventBridge: ofEventBridge,
} satisfies Record<string, Message>;

/** Messages that S3 servers send when a configuration is new. They are about no object. */
export const TEST_MESSAGES = {
  'Amazon S3': {
    Service: 'Amazon S3',
    Event: 's3:TestEvent',
    Bucket: 'files',
    RequestId: '5582815E1AEA5ADF',
  },
  versitygw: { Service: 'S3', Event: 's3:TestEvent', Time: '2026-11-27T04:05:51Z', Bucket: 'Test-Bucket' },
  EventBridge: { source: 'aws.s3', 'detail-type': 'Object Created', detail: {} },
};
