import { once } from 'node:events';
import { expect, it } from 'vitest';
import { runWorkers } from '../../src/client/upload/run-workers.ts';

it('the first failing worker stops the others, and its error is thrown', async () => {
  let ended = 0;
  const running = runWorkers(3, new AbortController().signal, async (signal) => {
    if (ended++ === 0) throw new Error('the first');
    await once(signal, 'abort');
    throw new Error('another');
  });
  await expect(running).rejects.toThrow('the first');
});

it('an abort stops all workers, and its reason is thrown', async () => {
  const abort = new AbortController();
  const running = runWorkers(2, abort.signal, async (signal) => void (await once(signal, 'abort')));
  abort.abort(new Error('enough'));
  await expect(running).rejects.toThrow('enough');
});
