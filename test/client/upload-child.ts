/**
 * A client in a process of its own: `upload-child.ts URL USER PATH OPTIONS`. Prints the result as JSON, and what the
 * process has needed at most.
 */
import { uploadFile } from '../../src/client/upload-file.ts';
import { createFileClient } from '../harness/service-process.ts';

const [url = '', user = '', path = '', options = '{}'] = process.argv.slice(2);
const { existing, bytesSent, bytesResumed, file } = await uploadFile(
  createFileClient(url, { 'x-user-id': user }),
  path,
  JSON.parse(options),
);
// Kilobytes here, whatever the unit of `getrusage` is elsewhere.
const maxRssMb = (process.resourceUsage().maxRSS * 1024) / 1e6;
process.stdout.write(JSON.stringify({ existing, bytesSent, bytesResumed, s3Key: file.s3Key, maxRssMb }));
