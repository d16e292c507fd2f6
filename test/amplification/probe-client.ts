import { once } from 'node:events';
import { connect } from 'node:net';

export interface Probe extends Disposable {
  /** What the process holds after a collection: JavaScript's heap, and the buffers beside it. */
  heldBytes(): Promise<number>;
  /** The same without a collection: at once, and at least as much. */
  heldAtMostBytes(): Promise<number>;
  /** The longest time that the event loop has stood still since the last question, in ms of its thread's CPU. */
  blockMs(): Promise<number>;
}

/** Asks the service's `probe.ts`. Every question is rejected once the process has gone. */
export async function openProbe(path: string): Promise<Probe> {
  const socket = connect(path);
  await once(socket, 'connect');
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  let rest = '';
  socket.setEncoding('latin1').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) waiting.shift()?.resolve(line);
  });
  socket
    .on('error', () => {})
    .once('close', () => {
      for (const { reject } of waiting.splice(0)) reject(new Error('the service has gone'));
    });
  const ask = async (question: string): Promise<Record<string, number>> => {
    const line = await new Promise<string>((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('the service has gone'));
      waiting.push({ resolve, reject });
      socket.write(question);
    });
    return JSON.parse(line);
  };
  return {
    heldBytes: async () => (await ask('h')).heldBytes ?? 0,
    heldAtMostBytes: async () => (await ask('g')).heldBytes ?? 0,
    blockMs: async () => (await ask('b')).blockMs ?? 0,
    [Symbol.dispose]: () => socket.destroy(),
  };
}
