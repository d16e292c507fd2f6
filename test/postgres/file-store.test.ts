import { fileStoreContract } from './file-store.ts';
import { openStore } from './open-store.ts';

fileStoreContract('the store on a plain table', (limits) => openStore(limits));
