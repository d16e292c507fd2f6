import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { median } from './report.ts';
import type { BenchServers } from './servers.ts';

/** How long a start takes, from the fork to SERVING, in seconds: each is the median of some. */
export interface Starts {
  /** With somebody else's Postgres and bucket. */
  external: number;
  /** With its own, which are there already. */
  embedded: number;
}

const STARTS = 5;

export async function measureStarts(servers: BenchServers): Promise<Starts> {
  await using data = await temporaryDirectory();
  return {
    external: await measure(await servers.environment()),
    embedded: await measure({ DATA_DIR: data.path }),
  };
}

/** The first one is not counted: it makes the data directory, and fills Node's cache of what it has compiled. */
async function measure(environment: Record<string, string>): Promise<number> {
  const seconds: number[] = [];
  for (let start = 0; start <= STARTS; start++) {
    const startMs = performance.now();
    const service = await startService({ environment });
    if (start > 0) seconds.push((performance.now() - startMs) / 1_000);
    await service.stop();
  }
  return median(seconds);
}
