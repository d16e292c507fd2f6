/** Runs `npm run upload` as a process of its own, with signals, pipes and npm. */
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bashScript } from '../harness/bash-script.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { openPaths } from '../harness/open-files.ts';
import { newUser } from '../harness/random.ts';
import { canDieWithParent, PROJECT } from '../harness/service-process.ts';
import { openFixture } from './fixture.ts';
import { COMMAND, INTERRUPTED, serviceOf, startIn } from './start-upload.ts';

const fixture = forAllTests(() => openFixture());

const start = (command: readonly string[], environment?: Record<string, string>) =>
  startIn(fixture, command, environment);
const service = (user?: string) => serviceOf(fixture, user);

async function file(path: string, text = path): Promise<string> {
  await mkdir(join(fixture.directory, path, '..'), { recursive: true });
  await writeFile(join(fixture.directory, path), text);
  return path;
}

/** Root may read each file. Without these capabilities, the permissions of a file also apply to root. */
const isRoot = process.getuid?.() === 0;
const WITHOUT_PRIVILEGE = isRoot ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--'] : [];
const canBeRefused = !isRoot || canDieWithParent || process.env.CI !== undefined;

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
    await expect
      .poll(() => openPaths(child.pid), { timeout: 10_000 })
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

  it.each([
    ['closed', '<&-'],
    ['/dev/null', '< /dev/null'],
    // Only Linux and macOS have this device, whose content has no end.
    ['/dev/zero', '< /dev/zero'],
  ])('stores nothing when standard input is %s', async (_, redirection) => {
    const upload = [...COMMAND, '-', '--name', 'a', ...service()];
    const { code, stdout, stderr } = await start(['bash', ...bashScript(`"$@" ${redirection}`, ...upload)])
      .exit;
    expect(stderr).toBe(
      '-: it is closed, or a device such as /dev/null (ENODEV). To do: pass the content: … | npm run upload -- - --name NAME.\n',
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining('0 uploaded, 1 failed') });
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

  it.runIf(canBeRefused)('names a file that it may not read, also in a dry run', async () => {
    await chmod(join(fixture.directory, await file('private/a')), 0);
    const upload = [...WITHOUT_PRIVILEGE, ...COMMAND, 'private', ...service()];
    for (const options of [[], ['--dry-run']]) {
      const { code, stderr } = await start([...upload, ...options]).exit;
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr:
          'private/a: it may not be read (EACCES). To do: ask its owner for the permission to read it.\n',
      });
    }
  });
});
