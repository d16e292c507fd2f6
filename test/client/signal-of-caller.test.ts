import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Client } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { uploadFile, uploadMany } from '../../src/client/node.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { openFixture } from './fixture.ts';

const fixture = forAllTests(() => openFixture());

const CALLS = 10;
const SOURCE = Buffer.from('content');

type Upload = (client: Client<typeof FileService>, signal: AbortSignal) => Promise<unknown>;
const METHODS: Record<string, Upload> = {
  uploadFile: (client, signal) => uploadFile(client, SOURCE, { filename: 'a', signal }),
  uploadMany: (client, signal) => uploadMany(client, [{ source: SOURCE, filename: 'a' }], { signal }),
};

it.each(Object.entries(METHODS))(
  'a signal that outlives calls of %s keeps none of them',
  async (_, upload) => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    const { signal } = new AbortController();
    const clients: WeakRef<object>[] = [];
    for (let i = 0; i < CALLS; i++) {
      const client = { ...fixture.user() };
      clients.push(new WeakRef(client));
      await upload(client, signal);
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const kept = async () => {
      await sleep(10);
      gc();
      return clients.filter((client) => client.deref() !== undefined).length;
    };
    // The frame of this function can hold the client of the last call.
    await expect.poll(kept).toBeLessThanOrEqual(1);
    // The caller still holds the signal.
    expect(signal.aborted).toBe(false);
  },
);
