import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

interface Delay extends AsyncDisposable {
  /** The ports in front of the given ones, in their order. */
  ports: number[];
}

/** Puts a network with this round trip in front of ports of loopback. */
export async function startDelay(roundTripMs: number, ports: readonly number[]): Promise<Delay> {
  const program = join(import.meta.dirname, 'delay-child.ts');
  const child = spawn(process.execPath, [program, String(roundTripMs), ...ports.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const [line] = await once(child.stdout, 'data');
  return {
    ports: JSON.parse(String(line)),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exit;
    },
  };
}
