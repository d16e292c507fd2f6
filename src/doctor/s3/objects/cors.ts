import { cannotTell, type Row, yesIf } from '../../row.ts';
import { describe } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload } from '../sample.ts';

export const cors: Row<ProbedBucket> = {
  title: 'pages of the given origin may upload (CORS)',
  meaning: 'Browsers refuse uploads from pages of this origin.',
  remedy: 'Give the bucket the CORS rules of test/browser/cors.json, with your origin and S3_UPLOAD_HEADERS.',
  async probe(bucket) {
    const { origin } = bucket.settings;
    if (origin === undefined) return cannotTell('no --origin was given');
    // A browser sends Content-Length by itself, so its preflight does not ask whether the page may send it.
    const names = Object.keys(headersOfUpload(bucket)).filter((name) => name !== 'Content-Length');
    const answer = await bucket.send({
      method: 'OPTIONS',
      key: bucket.key('cors'),
      signature: 'none',
      sent: {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': names
          .map((name) => name.toLowerCase())
          .sort()
          .join(','),
      },
    });
    const allowedOrigin = answer.headers['access-control-allow-origin'] ?? 'none';
    const allowed = (answer.headers['access-control-allow-headers'] ?? '').toLowerCase().split(/, */);
    const missing = names.filter((name) => !allowed.includes(name.toLowerCase()) && !allowed.includes('*'));
    const seen = `${describe(answer)}, allowed origin: ${allowedOrigin}, missing headers: ${missing.join(', ') || 'none'}`;
    return yesIf(['*', origin].includes(allowedOrigin) && missing.length === 0, seen);
  },
};
