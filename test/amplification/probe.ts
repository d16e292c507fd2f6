/**
 * Loaded into the service with `--import`: tells, whenever it is asked, what the process holds and for how long its
 * event loop stood still.
 *
 * A block is measured in CPU time of the main thread, so that it does not count when another process has the core.
 */
import { createServer } from 'node:net';

/** What is asked, a byte each. */
const QUESTIONS = { heap: 'h', heapWithGarbage: 'g', block: 'b' } as const;

const LOOK_INTERVAL_MS = 1;

let longestMicros = 0;
let before = process.threadCpuUsage();

/** How much the thread has worked since the last look: one turn of the loop, and what came before it in the same ms. */
function look(): void {
  const { user, system } = process.threadCpuUsage(before);
  longestMicros = Math.max(longestMicros, user + system);
  before = process.threadCpuUsage();
}

setInterval(look, LOOK_INTERVAL_MS).unref();

function answer(question: string): unknown {
  if (question === QUESTIONS.block) {
    look();
    const blockMs = longestMicros / 1_000;
    longestMicros = 0;
    return { blockMs };
  }
  if (question === QUESTIONS.heap) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  // The collection was ours.
  before = process.threadCpuUsage();
  // `external` has the ArrayBuffers in it.
  return { heldBytes: heapUsed + external };
}

const server = createServer((socket) => {
  socket.unref();
  socket.setEncoding('latin1').on('error', () => {});
  socket.on('data', (text) => {
    for (const question of String(text)) socket.write(`${JSON.stringify(answer(question))}\n`);
  });
});
server.listen(process.env.PROBE_SOCKET).unref();
