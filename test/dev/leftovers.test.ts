import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dataDirectoryIn } from '../../src/dev/postgres/cluster.ts';
import { processesByLsof, processesByProc } from '../../src/dev/postgres/leftovers.ts';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

/** .ci/run brings lsof. Elsewhere a missing lsof skips the test. */
const hasLsof = process.env.CI !== undefined || spawnSync('lsof', ['-v']).status === 0;

// The start of the service runs only one of the two, which the platform decides.
test.runIf(hasLsof && process.platform === 'linux')(
  'lsof finds every process of a Postgres, as /proc does, and none of another Postgres',
  async () => {
    await using temporary = await temporaryDirectory();
    const [one, other] = ['one für', 'other'].map((name) => join(temporary.path, name)) as [string, string];
    expect(await processesByLsof(temporary.path)).toEqual([]);
    await using running = new AsyncDisposableStack();
    for (const directory of [one, other]) {
      const postgres = await startPostgres({ directory, settings: { fsync: 'off' } });
      running.defer(() => postgres.stop());
    }
    const expected = await processesByProc(dataDirectoryIn(one));
    // The postmaster, and its processes such as the checkpointer.
    expect(expected.length).toBeGreaterThan(2);
    expect(new Set(await processesByLsof(dataDirectoryIn(one)))).toEqual(new Set(expected));
  },
);
