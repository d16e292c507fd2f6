import { type ExecFileException, type ExecFileOptions, execFile } from 'node:child_process';

interface Ran {
  /** `undefined` when there is no such program. */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** A tool that runs longer hangs. The slowest tool, the first build of a Go program, takes 20 s. */
const TIMEOUT_MS = 150_000;

/**
 * Runs a program until it ends, with any code.
 * @throws when a signal ended it, for example after the timeout
 */
export function run(program: string, args: readonly string[], options: ExecFileOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const done = (error: ExecFileException | null, stdout: string | Buffer, stderr: string | Buffer) => {
      const ran = { stdout: String(stdout), stderr: String(stderr) };
      if (error === null) resolve({ code: 0, ...ran });
      else if (error.code === 'ENOENT') resolve({ code: undefined, ...ran });
      else if (typeof error.code === 'number') resolve({ code: error.code, ...ran });
      else reject(error);
    };
    const child = execFile(program, args, { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', ...options }, done);
    child.stdin?.end();
  });
}

/** Runs a program and returns its output. @throws with the complete output, unless it ends with code 0 */
export async function output(
  program: string,
  args: readonly string[],
  options: ExecFileOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code === 0) return stdout;
  const how = code === undefined ? 'does not exist' : `ended with ${code}`;
  throw new Error(`${program} ${args.join(' ')} ${how}\n${stdout}${stderr}`);
}
