import type { ProbeRequest, S3Answer, SendProbe } from './send.ts';
import { inXml, textsIn } from './xml.ts';

/** Records what a run of the doctor may have stored in the bucket, and counts its requests and their bytes. */
export interface Traces {
  readonly requests: number;
  readonly bytes: number;
  /** Remembers what the request may have stored. @returns the answer, unchanged */
  record(request: ProbeRequest, answer: Promise<S3Answer>): Promise<S3Answer>;
  /** Waits for requests under way, removes what this run stored, and returns the keys that could not be removed. */
  remove(): Promise<string[]>;
}

/** The keys of the doctor begin with this text and have no `_`. */
export const KEY_PREFIX = 'file-service-doctor-';

/**
 * Whether the doctor made the key. A user id may begin with KEY_PREFIX, too, but every key of a file has a `_`
 * between the user id and the filename.
 */
export const isKeyOfDoctor = (key: string): boolean => key.startsWith(KEY_PREFIX) && !key.includes('_');

/**
 * An object or upload of the doctor that is older than one hour was left behind by a run that was killed. A younger
 * one may belong to a run of another operator that is not finished.
 */
const ABANDONED_MS = 3_600_000;

export function createTraces(send: SendProbe): Traces {
  const keys = new Set<string>();
  const uploads = new Map<string, string>();
  const versions = new Map<string, Set<string>>();
  const underWay = new Set<Promise<unknown>>();
  let requests = 0;
  let bytes = 0;

  const remember = ({ key, query = {} }: ProbeRequest, { headers, body }: S3Answer): void => {
    if ('uploads' in query) for (const id of textsIn(body, 'UploadId')) uploads.set(id, key);
    const version = headers['x-amz-version-id'];
    if (version !== undefined && version !== 'null') {
      versions.set(key, (versions.get(key) ?? new Set()).add(version));
    }
  };
  const record = async (request: ProbeRequest, answer: Promise<S3Answer>): Promise<S3Answer> => {
    requests++;
    bytes += request.body?.length ?? 0;
    if (request.method === 'PUT' || request.method === 'POST') keys.add(request.key);
    underWay.add(answer);
    try {
      const received = await answer;
      if (request.method !== 'GET' && request.method !== 'HEAD') remember(request, received);
      return received;
    } finally {
      underWay.delete(answer);
    }
  };
  const again = (request: ProbeRequest) => record(request, send(request)).catch(() => undefined);
  const abort = ({ key, uploadId }: { key: string; uploadId: string }) =>
    again({ method: 'DELETE', key, query: { uploadId } });
  const removeKey = async (key: string): Promise<void> => {
    await again({ method: 'DELETE', key });
    // A bucket with versioning keeps the bytes as an older version, and the DELETE as a delete marker, which is a
    // version too. So each version that S3 has named is removed.
    for (const versionId of versions.get(key) ?? [])
      await again({ method: 'DELETE', key, query: { versionId } });
  };

  return {
    get requests() {
      return requests;
    },
    get bytes() {
      return bytes;
    },
    record,
    async remove() {
      await Promise.allSettled(underWay);
      await Promise.all([...uploads].map(([uploadId, key]) => abort({ key, uploadId })));
      await Promise.all([...keys].map(removeKey));
      const { objects, uploads: open } = await listLeft(again);
      await Promise.all(objects.filter(({ isAbandoned }) => isAbandoned).map(({ key }) => removeKey(key)));
      await Promise.all(open.filter(({ isAbandoned }) => isAbandoned).map(abort));
      return [...objects, ...open].map(({ key }) => key).filter((key) => keys.has(key));
    },
  };
}

/** Lists what this and other runs of the doctor have left in the bucket. */
async function listLeft(send: (request: ProbeRequest) => Promise<S3Answer | undefined>) {
  const list = async (query: Record<string, string>, entry: string, time: string) => {
    const answer = await send({ method: 'GET', key: '', query: { ...query, prefix: KEY_PREFIX } });
    const found = inXml(answer?.body ?? '', entry).map((element) => ({
      key: textsIn(element, 'Key')[0] ?? '',
      uploadId: textsIn(element, 'UploadId')[0] ?? '',
      isAbandoned: Date.now() - Date.parse(textsIn(element, time)[0] ?? '') > ABANDONED_MS,
    }));
    return found.filter(({ key }) => isKeyOfDoctor(key));
  };
  const [objects, uploads] = await Promise.all([
    list({ 'list-type': '2' }, 'Contents', 'LastModified'),
    list({ uploads: '' }, 'Upload', 'Initiated'),
  ]);
  return { objects, uploads };
}
