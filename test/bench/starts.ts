import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { median } from './report.ts';
import type { BenchServers } from './servers.ts';

/** Seconds from the fork of the process to SERVING, as the median of several starts. */
export interface Starts {
  /** With an external Postgres and bucket. */
  external: number;
  /** With the embedded Postgres and object store, in an existing data directory. */
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

/** Does not count the first start, which creates the data directory and fills Node's compile cache. */
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
