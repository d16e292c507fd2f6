/**
 * Loaded into the service with `--import`. Answers questions about the memory of the process and about the
 * longest block of its event loop.
 *
 * A block is measured in CPU time of the main thread, so that time in which another process has the core does
 * not count.
 */
import { createServer } from 'node:net';

/** The questions, which are one byte each. */
const QUESTIONS = { heap: 'h', heapWithGarbage: 'g', block: 'b' } as const;

const MEASURE_INTERVAL_MS = 1;

let longestMicros = 0;
let before = process.threadCpuUsage();

/**
 * Measures the CPU time since the last call: one turn of the event loop, and earlier work in the same
 * millisecond.
 */
function measure(): void {
  const { user, system } = process.threadCpuUsage(before);
  longestMicros = Math.max(longestMicros, user + system);
  before = process.threadCpuUsage();
}

setInterval(measure, MEASURE_INTERVAL_MS).unref();

function answer(question: string): unknown {
  if (question === QUESTIONS.block) {
    measure();
    const blockMs = longestMicros / 1_000;
    longestMicros = 0;
    return { blockMs };
  }
  if (question === QUESTIONS.heap) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  // The garbage collection above is not a block of the service.
  before = process.threadCpuUsage();
  // `external` includes the ArrayBuffers.
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
