/** Runs `npm run upload` as a process of its own, with signals, pipes, npm and a terminal. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { terminalColumns } from '../../src/text/columns.ts';
import { bashScript } from '../harness/bash-script.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { screenAfter } from '../harness/screen.ts';
import { dyingWithParent, PROJECT } from '../harness/service-process.ts';
import { openFixture } from './fixture.ts';

const fixture = forAllTests(() => openFixture());

const COMMAND = [process.execPath, join(PROJECT, 'src/main.ts'), 'upload'];

interface Started {
  child: ChildProcessWithoutNullStreams;
  printed: { stdout: string; stderr: string };
  /** Resolves when the process has ended and its output has arrived. */
  exit: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function start(command: readonly string[], environment: Record<string, string> = {}): Started {
  const [program, ...args] = dyingWithParent(command);
  const { HOME } = process.env;
  const XDG_CACHE_HOME = join(fixture.directory, 'cache');
  const PATH = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`;
  const child = spawn(program, args, {
    cwd: fixture.directory,
    env: { HOME, PATH, XDG_CACHE_HOME, ...environment },
  });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  const exit = once(child, 'close').then(([code]) => ({ code, ...printed }));
  return { child, printed, exit };
}

const INTERRUPTED = 'Interrupted. Run the same command again to continue.';

const service = (user = newUser()) => ['--url', fixture.service.httpUrl, '--user', user];

async function file(path: string, text = path): Promise<string> {
  await mkdir(join(fixture.directory, path, '..'), { recursive: true });
  await writeFile(join(fixture.directory, path), text);
  return path;
}

describe('the process of npm run upload', () => {
  it('takes relative paths from the directory in which npm was called', async () => {
    const user = newUser();
    await file('typed/here.txt');
    const npm = ['npm', '--prefix', PROJECT, 'run', '--silent', 'upload', '--'];
    const { code, stdout } = await start([...npm, 'typed', ...service(user)]).exit;
    expect(stdout).toContain(`typed/here.txt: uploaded 14 B, as ${user}_here.txt\n`);
    expect(code).toBe(0);
  });

  it('takes them from the current directory where another script of npm has changed it', async () => {
    const user = newUser();
    await file('changed.txt');
    const npm = { INIT_CWD: '/', npm_lifecycle_event: 'build' };
    const { stdout } = await start([...COMMAND, 'changed.txt', ...service(user)], npm).exit;
    expect(stdout).toContain('changed.txt: uploaded');
  });

  it('keeps standard input in a file without a name, and ends at SIGINT while it waits for more', async () => {
    await mkdir(join(fixture.directory, 'temporary'));
    const TMPDIR = join(fixture.directory, 'temporary');
    const { child, exit } = start([...COMMAND, '-', '--name', 'a', ...service()], { TMPDIR });
    child.stdin.write('the first half');
    const openFiles = async () => {
      const folder = `/proc/${child.pid}/fd`;
      const names = await readdir(folder).catch(() => []);
      return Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => '')));
    };
    await expect
      .poll(openFiles, { timeout: 10_000 })
      .toContainEqual(expect.stringMatching(new RegExp(`^${TMPDIR}/file-service-.*/stdin \\(deleted\\)$`)));
    expect(await readdir(TMPDIR)).toEqual([]);
    child.kill('SIGINT');
    expect(await exit).toEqual({
      code: 130,
      stdout: '',
      stderr: `${INTERRUPTED}\n`,
    });
    expect(await readdir(TMPDIR)).toEqual([]);
  });

  it('uploads files also where standard input cannot be read', async () => {
    await file('closed');
    const upload = [...COMMAND, 'closed', ...service()];
    const { code } = await start(['bash', ...bashScript('"$@" < /', ...upload)]).exit;
    expect(code).toBe(0);
    const fromStdin = [...COMMAND, '-', '--name', 'a', ...service()];
    const asked = await start(['bash', ...bashScript('"$@" < /', ...fromStdin)]).exit;
    expect(asked).toMatchObject({ code: 1, stderr: expect.stringMatching(/^-: .*EISDIR.* To do: /) });
  });

  it('ends at SIGINT with code 130, and the next run continues', async () => {
    const user = newUser();
    const args = [...COMMAND, await file('halted'), ...service(user)];
    fixture.proxy.delayMs = 30_000;
    const { child, exit } = start(args);
    await expect.poll(() => fixture.proxy.underWay, { timeout: 10_000 }).toBeGreaterThan(0);
    child.kill('SIGINT');
    expect((await exit).code).toBe(130);
    fixture.proxy.delayMs = 0;
    expect(await start(args).exit).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('halted: uploaded'),
    });
  });

  it('ends without a word when the reader of its output has gone', async () => {
    for (let i = 0; i < 40; i++) await file(`lines/${i}`);
    const script = '"$@" | head -1; echo $PIPESTATUS';
    const upload = [...COMMAND, 'lines', '--concurrency', '1', ...service()];
    const { stdout, stderr } = await start(['bash', ...bashScript(script, ...upload)]).exit;
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^lines\/\d+: uploaded .*\n141\n$/);
  });

  it('prints no control character into a file', async () => {
    // The upload takes so long that a terminal would show its progress.
    fixture.proxy.delayMs = 500;
    const { stdout, stderr } = await start([...COMMAND, await file('plain'), ...service()]).exit;
    fixture.proxy.delayMs = 0;
    expect(stdout).toContain('plain: uploaded');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for them
    expect(stdout + stderr).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
  });

  // script of util-linux runs a command on a terminal.
  const hasTerminal = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;
  const onTerminal = (columns: number, ...command: string[]) => {
    const quoted = command.map((word) => `'${word}'`).join(' ');
    return start(['script', '-qec', `stty cols ${columns}; exec ${quoted}`, '/dev/null']);
  };

  it.runIf(hasTerminal).each([40, 80, 200])(
    'leaves room for ^C on a terminal of %i columns',
    async (columns) => {
      // The path is wider than the terminal, so the progress line takes all columns that it may take.
      const directory = `terminal/${columns}`;
      await file(`${directory}/${'写真'.repeat(30)}/${'動画'.repeat(30)}.mp4`);
      fixture.proxy.delayMs = 30_000;
      const { child, printed, exit } = onTerminal(columns, ...COMMAND, directory, ...service());
      await expect.poll(() => printed.stdout, { timeout: 10_000 }).toContain('░');
      // The terminal writes ^C behind the progress line, and sends SIGINT.
      child.stdin.write('\x03');
      const { code, stdout } = await exit;
      fixture.proxy.delayMs = 0;
      expect(code).toBe(130);
      expect(stdout).toContain('^C');
      // A line of two rows would leave its first row on the screen, because only the row of the cursor is erased.
      expect(screenAfter(stdout, columns).join('')).toBe(INTERRUPTED);
      const drawn = stdout.split('\r\x1b[K').filter((text) => text.includes('░'));
      expect(Math.max(...drawn.map((line) => terminalColumns(line.replace('^C', ''))))).toBe(columns - 3);
      expect(drawn.some((line) => line.includes('写真'))).toBe(columns > 40);
    },
  );

  it.runIf(hasTerminal)('leaves only the printed lines on a terminal', async () => {
    const user = newUser();
    for (const name of ['a', 'b']) await file(`printed/${name}`);
    fixture.proxy.delayMs = 400;
    const { exit } = onTerminal(100, ...COMMAND, 'printed', '--concurrency', '1', ...service(user));
    const { code, stdout } = await exit;
    fixture.proxy.delayMs = 0;
    expect(code).toBe(0);
    expect(stdout).toContain('1/2 files');
    const [summary, ...lines] = screenAfter(stdout, 100).filter(Boolean).toSorted();
    expect(summary).toMatch(/^2 files: 2 uploaded\. Sent 18 B/);
    expect(lines).toEqual(['a', 'b'].map((name) => `printed/${name}: uploaded 9 B, as ${user}_${name}`));
  });

  it('draws no progress on a terminal that cannot move its cursor', async () => {
    if (!hasTerminal) return;
    await file('dumb/a');
    fixture.proxy.delayMs = 300;
    const command = [...COMMAND, 'dumb', ...service()].map((word) => `'${word}'`).join(' ');
    const { stdout } = await start(['script', '-qec', command, '/dev/null'], { TERM: 'dumb' }).exit;
    fixture.proxy.delayMs = 0;
    expect(stdout).toContain('1 file: 1 uploaded');
    expect(stdout).not.toContain('\x1b');
  });
});
