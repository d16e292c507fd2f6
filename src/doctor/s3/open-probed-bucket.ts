import { randomBytes } from 'node:crypto';
import { InterruptedError } from '../row.ts';
import { abortedUpload } from './aborted-upload.ts';
import { download } from './download.ts';
import { multipartUpload } from './multipart-upload.ts';
import type { BucketSettings, ProbedBucket } from './probed-bucket.ts';
import { uploadSample } from './sample.ts';
import type { SendProbe } from './send.ts';
import { KEY_PREFIX, type Traces } from './traces.ts';

export function openProbedBucket(
  { sendProbe, sendPublicProbe }: { sendProbe: SendProbe; sendPublicProbe: SendProbe },
  settings: BucketSettings,
  traces: Traces,
  signal: AbortSignal,
): ProbedBucket {
  const run = `${KEY_PREFIX}${randomBytes(6).toString('hex')}-`;
  // A request that is under way is not aborted: S3 could store its bytes after the doctor has cleaned up.
  const unlessInterrupted =
    (send: SendProbe): SendProbe =>
    async (request) => {
      if (signal.aborted) throw new InterruptedError('the run was interrupted');
      return traces.record(request, send(request));
    };
  const bucket: ProbedBucket = {
    settings,
    send: unlessInterrupted(sendProbe),
    sendPublicly: unlessInterrupted(sendPublicProbe),
    key: (name) => run + name,
    sample: once(() => uploadSample(bucket)),
    multipartUpload: once(() => multipartUpload(bucket)),
    abortedUpload: once(() => abortedUpload(bucket)),
    download: once(() => download(bucket)),
  };
  return bucket;
}

function once<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
