import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * The directory in which the user typed the command. npm runs a command in the folder of the package, and names the
 * user's directory in INIT_CWD. The variable counts only if npm runs this very command: in another script of npm, the
 * script itself may have changed the directory.
 *
 * @param command the name of its script in package.json
 */
export function userDirectory(command: string): string {
  const { INIT_CWD, npm_lifecycle_event } = process.env;
  return INIT_CWD !== undefined && npm_lifecycle_event === command ? INIT_CWD : process.cwd();
}

/** The directory for data that programs of this user can compute again (XDG Base Directory Specification). */
export function cacheDirectory(): string {
  const { XDG_CACHE_HOME = '' } = process.env;
  return isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
}
