/** `upload.js URL USER PATH OPTIONS` uploads a file over Connect, and prints the result as JSON. */
import process from 'node:process';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { FileService, uploadFile } from 'file-service-client';

async function main([baseUrl, user, path, options]) {
  const asUser = (next) => (call) => {
    call.header.set('x-user-id', user);
    return next(call);
  };
  const transport = createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors: [asUser] });
  const files = createClient(FileService, transport);
  const { existing, bytesSent, file } = await uploadFile(files, path, JSON.parse(options));
  process.stdout.write(JSON.stringify({ existing, bytesSent, s3Key: file.s3Key }));
}

// CommonJS, one of the formats of a bundle, has no `await` at the top.
main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
