import { fileStoreContract } from './file-store.ts';
import { multipartContract } from './file-store-multipart.ts';
import { openStore } from './open-store.ts';

for (const contract of [fileStoreContract, multipartContract]) {
  contract('the store on a plain table', (limits) => openStore(limits));
}
