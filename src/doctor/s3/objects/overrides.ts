import { type Row, yesIf } from '../../row.ts';
import { withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const overrides: Row<ProbedBucket> = {
  title: 'a download URL replaces the headers that the uploader stored',
  invariant: 'I5',
  meaning: 'Caches may keep the bytes of a deleted file, as the uploader said (Cache-Control).',
  remedy: 'Use another server, or let a proxy set Cache-Control: no-store.',
  async probe(bucket) {
    const { get } = await bucket.download();
    const control = get.headers['cache-control'];
    const holds = control === bucket.settings.downloadQuery['response-cache-control'];
    return (await withoutUploads(bucket)) ?? yesIf(holds, `Cache-Control: ${control ?? 'none'}`);
  },
};
