/** Runs `npm run upload` on a terminal, which shows its progress line and sends SIGINT for Ctrl-C. */
import { spawnSync } from 'node:child_process';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { terminalColumns } from '../../src/text/columns.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { screenAfter } from '../harness/screen.ts';
import { openFixture } from './fixture.ts';
import { makeFolder } from './run-upload.ts';
import { COMMAND, INTERRUPTED, serviceOf, startIn } from './start-upload.ts';

const fixture = forAllTests(() => openFixture());

// script of util-linux runs a command on a terminal.
const hasTerminal =
  process.env.CI !== undefined || spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;

interface OnTerminal {
  columns?: number;
  user?: string;
  environment?: Record<string, string>;
}

/** Uploads the paths. The terminal writes ^C behind the progress line, and sends SIGINT, if it gets \x03. */
function uploadOnTerminal(paths: string[], { columns = 80, user, environment }: OnTerminal = {}) {
  const command = [...COMMAND, ...paths, ...serviceOf(fixture, user)].map((word) => `'${word}'`).join(' ');
  return startIn(
    fixture,
    ['script', '-qec', `stty cols ${columns}; exec ${command}`, '/dev/null'],
    environment,
  );
}

describe.runIf(hasTerminal)('npm run upload on a terminal', () => {
  it.each([40, 80, 200])('of %i columns leaves room for ^C behind its progress line', async (columns) => {
    // The path is wider than the terminal, so the progress line takes all columns that it may take.
    const file = `${'写真'.repeat(30)}/${'動画'.repeat(30)}.mp4`;
    const folder = await makeFolder(fixture, `wide-${columns}`, file);
    fixture.proxy.delayMs = 30_000;
    const { child, printed, exit } = uploadOnTerminal([folder], { columns });
    await expect.poll(() => printed.stdout, { timeout: 10_000 }).toContain('░');
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
  });

  it('leaves only the printed lines on the screen', async () => {
    const user = newUser();
    const folder = await makeFolder(fixture, 'printed', 'a', 'b');
    fixture.proxy.delayMs = 400;
    const { code, stdout } = await uploadOnTerminal([folder, '--concurrency', '1'], { columns: 100, user })
      .exit;
    fixture.proxy.delayMs = 0;
    expect(code).toBe(0);
    expect(stdout).toContain('1/2 files');
    const [summary, ...lines] = screenAfter(stdout, 100).filter(Boolean).toSorted();
    expect(summary).toMatch(/^2 files: 2 uploaded\. Sent 18 B/);
    expect(lines).toEqual(['a', 'b'].map((name) => `printed/${name}: uploaded 9 B, as ${user}_${name}`));
  });

  it('ends at ^C although the files are not all counted', async () => {
    // Each level has 40 links to the next one, so the last file has 40⁴ paths. The count of all takes a minute.
    const levels = ['top', 'second', 'third', 'fourth', 'bottom'];
    const folder = await makeFolder(fixture, 'countless', ...levels.map((level) => `${level}/a`));
    for (const [i, level] of levels.slice(0, -1).entries()) {
      for (let link = 0; link < 40; link++) {
        await symlink(`../${levels[i + 1]}`, join(fixture.directory, folder, level, `${link}`));
      }
    }
    fixture.proxy.delayMs = 30_000;
    const { child, printed, exit } = uploadOnTerminal([`${folder}/top`, '--concurrency', '1']);
    await expect.poll(() => printed.stdout, { timeout: 10_000 }).toMatch(/,\d{3}\+ files/);
    child.stdin.write('\x03');
    expect((await exit).code).toBe(130);
    fixture.proxy.delayMs = 0;
  });

  it('says how to end the content that is typed', async () => {
    const { child, printed, exit } = uploadOnTerminal(['-', '--name', 'typed']);
    await expect.poll(() => printed.stdout, { timeout: 10_000 }).toContain('end it with Ctrl-D');
    child.stdin.write('hello\n\x04');
    expect(await exit).toMatchObject({ code: 0, stdout: expect.stringContaining('-: uploaded 6 B') });
  });

  it('draws no progress if the terminal cannot move its cursor', async () => {
    const folder = await makeFolder(fixture, 'dumb', 'a');
    fixture.proxy.delayMs = 300;
    const { stdout } = await uploadOnTerminal([folder], { environment: { TERM: 'dumb' } }).exit;
    fixture.proxy.delayMs = 0;
    expect(stdout).toContain('1 file: 1 uploaded');
    expect(stdout).not.toContain('\x1b');
  });
});
