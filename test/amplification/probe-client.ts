import { once } from 'node:events';
import { connect } from 'node:net';

/** Collecting a nearly full heap takes seconds. After this time the process counts as lost. */
const PATIENCE_MS = 10_000;

export interface Probe extends Disposable {
  /** `true` when the process does not answer any more. */
  readonly isLost: boolean;
  /** The JavaScript heap and the buffers outside the heap, after a garbage collection. */
  heldBytes(): Promise<number>;
  /** Like `heldBytes`, but without a garbage collection: faster, and an upper bound. */
  heldAtMostBytes(): Promise<number>;
  /** The longest block of the event loop since the last question, in ms of the thread's CPU time. */
  blockMs(): Promise<number>;
}

/**
 * Connects to the `probe.ts` in the service. A question rejects if the process has ended or does not answer.
 */
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
        reject(new Error('the service has ended or does not answer'));
    });
  const ask = async (question: string): Promise<Record<string, number>> => {
    const line = await new Promise<string>((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('the service has ended or does not answer'));
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
