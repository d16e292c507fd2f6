import { afterAll } from 'vitest';
import { startTestObjectStore } from '../harness/object-store.ts';
import { objectStoreContract } from './object-store.ts';
import { contractCorsRules } from './object-store-cors.ts';

const store = await startTestObjectStore({ corsRules: contractCorsRules });
afterAll(() => store.stop());

objectStoreContract('the development object store', async () => store);
