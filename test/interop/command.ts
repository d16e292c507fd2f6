import { type ExecFileException, type ExecFileOptions, execFile } from 'node:child_process';

export interface Ran {
  /** `undefined`: there is no such program. */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** A tool that says nothing for this long hangs; the slowest here, a first build of a Go program, takes 20 s. */
const TIMEOUT_MS = 150_000;

/** Runs a program to its end, whatever that is. @throws when a signal ended it, a time-out's included */
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

/** What the program printed. @throws with all that it said, unless it ends with code 0 */
export async function output(
  program: string,
  args: readonly string[],
  options: ExecFileOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code === 0) return stdout;
  const how = code === undefined ? 'is not there' : `ended with ${code}`;
  throw new Error(`${program} ${args.join(' ')} ${how}\n${stdout}${stderr}`);
}
