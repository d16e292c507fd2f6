import { eventsContract } from './file-events.ts';
import { fileStoreContract } from './file-store.ts';
import { batchContract } from './file-store-batch.ts';
import { multipartContract } from './file-store-multipart.ts';
import { openStore } from './open-store.ts';

for (const contract of [fileStoreContract, multipartContract, batchContract, eventsContract]) {
  contract('the store on a plain table', (limits) => openStore(limits));
}

batchContract('the store of a service with events', (limits) =>
  openStore({ ...limits, announcesChanges: true }),
);
