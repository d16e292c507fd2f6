import { readdir } from 'node:fs/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { FileService, openMd5Cache, uploadMany } from 'file-service-client';

const asUser = (next) => (call) => {
  call.header.set('x-user-id', '651eb6e11d156e0d7a42c59d');
  return next(call);
};
const transport = createGrpcTransport({ baseUrl: 'http://127.0.0.1:50051', interceptors: [asUser] });
const files = createClient(FileService, transport);

const photos = (await readdir('photos')).map((name) => ({ source: `photos/${name}` }));
const md5Cache = await openMd5Cache('photos.md5s');
const { uploaded, existing, failed } = await uploadMany(files, photos, {
  md5Cache,
  onOutcome: ({ item, error }) => error && console.error(item.source, error.message),
});
await md5Cache.save();
console.log(uploaded, 'uploaded,', existing, 'were there already,', failed, 'failed');
