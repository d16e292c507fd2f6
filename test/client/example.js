import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { FileService, uploadFile } from 'file-service-client';

const asUser = (next) => (call) => {
  call.header.set('x-user-id', '651eb6e11d156e0d7a42c59d');
  return next(call);
};
const transport = createGrpcTransport({ baseUrl: 'http://127.0.0.1:50051', interceptors: [asUser] });
const files = createClient(FileService, transport);

const { file, existing } = await uploadFile(files, 'film.mp4', {
  mimeType: 'video/mp4',
  onProgress: ({ phase, bytesSent, bytesTotal }) => console.log(phase, bytesSent, 'of', bytesTotal),
});
console.log(existing ? 'was there already:' : 'uploaded:', file.s3Key);
