import { consequence, type Row, yesIf } from '../../row.ts';
import { describe, isSuccess } from '../answers.ts';
import { PARTS } from '../multipart-upload.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { inXml, textsIn } from '../xml.ts';

export const listParts: Row<ProbedBucket> = {
  title: 'ListParts tells number, size and ETag of each part',
  invariant: 'I6',
  meaning: 'An interrupted upload cannot be resumed or completed.',
  remedy: 'Use another server; check the role (s3:ListMultipartUploadParts).',
  async probe(bucket) {
    const { listed } = await bucket.multipartUpload();
    if (listed === undefined) return consequence('no parts were uploaded');
    const parts = inXml(listed.body, 'Part');
    const holds = PARTS.every((bytes, i) => {
      const part = parts[i] ?? '';
      const [number] = textsIn(part, 'PartNumber');
      const [size] = textsIn(part, 'Size');
      return number === String(i + 1) && size === String(bytes.length) && textsIn(part, 'ETag')[0];
    });
    return yesIf(holds, isSuccess(listed) ? `${parts.length} parts` : describe(listed));
  },
};
