/**
 * A development object store in a process of its own, for tests that kill it: `node object-store-process.ts
 * DIRECTORY`.
 */
import { startTestObjectStore } from '../harness/object-store.ts';

const { endpoint } = await startTestObjectStore({ directory: process.argv[2] ?? '' });
process.stdout.write(`${endpoint}\n`);
