/**
 * Returns the arguments for bash to run a script, whose `$1`, `$2` … are `args`. Without `--norc`, bash reads ~/.bashrc
 * first if SHLVL is not set and its standard input is a socket, as the pipes are that Node makes for a child. That file may
 * change the PATH of the test.
 */
export function bashScript(script: string, ...args: string[]): string[] {
  return ['--norc', '-c', script, 'bash', ...args];
}
