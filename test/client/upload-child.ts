/**
 * A client in a separate process: `upload-child.ts URL USER PATH OPTIONS`. Prints the result and the peak
 * memory of the process as JSON.
 */
import { uploadFile } from '../../src/client/node.ts';
import { createFileClient } from '../harness/service-process.ts';

const [url = '', user = '', path = '', options = '{}'] = process.argv.slice(2);
const { existing, bytesSent, bytesResumed, file } = await uploadFile(
  createFileClient(url, { 'x-user-id': user }),
  path,
  JSON.parse(options),
);
// Node reports kilobytes on every system, although the unit of getrusage differs.
const maxRssMb = (process.resourceUsage().maxRSS * 1024) / 1e6;
process.stdout.write(JSON.stringify({ existing, bytesSent, bytesResumed, s3Key: file.s3Key, maxRssMb }));
