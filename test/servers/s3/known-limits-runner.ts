/** Runs the tests of known-limits.ts as tests that must fail. vitest.config.ts uses it if TEST_S3_SERVER is set. */
import { relative } from 'node:path';
import { type RunnerTestCase, type RunnerTestFile, type RunnerTestSuite, TestRunner } from 'vitest';
import { KNOWN_LIMITS, type KnownLimit, serverName } from './known-limits.ts';

const TEST_FOLDER = new URL('../..', import.meta.url).pathname;

export default class KnownLimitsRunner extends TestRunner {
  readonly #server = serverName();
  readonly #limits = this.#server === undefined ? [] : KNOWN_LIMITS[this.#server];

  onCollected(files: RunnerTestFile[]): void {
    for (const file of files) {
      const titles = testsOf(file).map(titleOf);
      const stale = this.#limitsOf(file).filter((limit) => !titles.some((title) => matches(limit, title)));
      if (stale.length > 0)
        throw new Error(`known-limits.ts names no test: ${stale.map(({ test }) => test).join(', ')}`);
    }
  }

  async runTask(test: RunnerTestCase): Promise<void> {
    const limit = this.#limitsOf(test.file).find((each) => matches(each, titleOf(test)));
    const run = TestRunner.getTestFn(test);
    if (limit === undefined) return run();
    const error = await Promise.resolve()
      .then(run)
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    if (error === undefined)
      throw new Error(`passes, so this limit of ${this.#server} is mended: ${limit.reason}`);
    if (!(error instanceof Error && limit.error.test(error.message))) {
      throw new Error(`fails in another way than the known limit of ${this.#server}: ${error}`, {
        cause: error,
      });
    }
    process.stdout.write(`known limit of ${this.#server}: ${titleOf(test)}: ${limit.reason}\n`);
  }

  #limitsOf({ filepath }: RunnerTestFile): KnownLimit[] {
    return this.#limits.filter(({ file }) => file === relative(TEST_FOLDER, filepath));
  }
}

function matches({ test }: KnownLimit, title: string): boolean {
  return typeof test === 'string' ? test === title : test.test(title);
}

function testsOf(suite: RunnerTestSuite): RunnerTestCase[] {
  return suite.tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task) : [task]));
}

/** The names of the groups and of the test, without the file. */
function titleOf(test: RunnerTestCase): string {
  const names = [test.name];
  for (
    let { suite } = test;
    suite !== undefined && suite.type === 'suite' && !('filepath' in suite);
    suite = suite.suite
  )
    names.unshift(suite.name);
  return names.join(' > ');
}
