import { afterAll } from 'vitest';
import { startTestObjectStore } from '../harness/object-store.ts';
import { objectStoreContract } from './object-store.ts';

const store = await startTestObjectStore();
afterAll(() => store.stop());

objectStoreContract('the development object store', async () => store);
