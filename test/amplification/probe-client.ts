import { once } from 'node:events';
import { connect } from 'node:net';

/** A heap that is nearly full is collected for seconds; beyond that nothing is to be expected of it. */
const PATIENCE_MS = 10_000;

export interface Probe extends Disposable {
  /** Whether it still answers. */
  readonly isLost: boolean;
  /** What the process holds after a collection: JavaScript's heap, and the buffers beside it. */
  heldBytes(): Promise<number>;
  /** The same without a collection: at once, and at least as much. */
  heldAtMostBytes(): Promise<number>;
  /** The longest time that the event loop has stood still since the last question, in ms of its thread's CPU. */
  blockMs(): Promise<number>;
}

/** Asks the service's `probe.ts`. A question is rejected when the process has gone, or does not answer. */
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
      for (const { reject } of waiting.splice(0))
        reject(new Error('the service has gone, or does not answer'));
    });
  const ask = async (question: string): Promise<Record<string, number>> => {
    const line = await new Promise<string>((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('the service has gone, or does not answer'));
      const patience = setTimeout(() => socket.destroy(), PATIENCE_MS);
      waiting.push({
        resolve: (text) => {
          clearTimeout(patience);
          resolve(text);
        },
        reject,
      });
      socket.write(question);
    });
    return JSON.parse(line);
  };
  return {
    get isLost() {
      return socket.destroyed;
    },
    heldBytes: async () => (await ask('h')).heldBytes ?? 0,
    heldAtMostBytes: async () => (await ask('g')).heldBytes ?? 0,
    blockMs: async () => (await ask('b')).blockMs ?? 0,
    [Symbol.dispose]: () => socket.destroy(),
  };
}
