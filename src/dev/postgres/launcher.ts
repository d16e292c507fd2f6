/**
 * Chooses how this process runs Postgres's programs: as which user, and through the program setpriv (util-linux) where
 * it is available.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface LaunchOptions {
  readonly stdio: StdioOptions;
  /**
   * The kernel sends this signal to the program when this process dies in any way. Only setpriv can ask the kernel
   * for it, so without setpriv (as on every system but Linux) there is no signal.
   */
  readonly signalOnOurDeath: NodeJS.Signals;
}

/** A way to run Postgres's programs from this process. */
export interface Launcher {
  /** The user that must own the files of Postgres. Undefined means the user of this process. */
  readonly owner: Owner | undefined;
  readonly launch: (program: string, args: readonly string[], options: LaunchOptions) => ChildProcess;
}

/**
 * Returns the first launcher that works here. Every launcher is tried with the real binary and the real
 * directory, because its success depends on modes, capabilities, and the installed version of util-linux.
 *
 * Postgres refuses to run as root, so root runs Postgres as another user. That user may have no access to the directory
 * of this checkout (a `mktemp -d` directory and /root have mode 700), and the service must not change the modes of
 * directories that are not its own. A user without access therefore gets the one capability of root that gives access
 * (`dac_override`).
 *
 * `existingOwner` is the owner of an existing cluster. Postgres refuses to run as any other user.
 */
export async function chooseLauncher(
  postgres: string,
  directory: string,
  existingOwner: Owner | undefined,
): Promise<Launcher> {
  const isRoot = process.geteuid?.() === 0;
  const owner = isRoot ? (existingOwner ?? (await unprivilegedUser())) : undefined;
  for (const setprivOptions of owner === undefined ? [[], undefined] : optionsForRoot(owner)) {
    const launcher = launcherWith(setprivOptions, owner);
    if (await canUse(launcher, postgres, directory)) return launcher;
  }
  throw new Error(
    owner === undefined
      ? `Cannot run ${postgres} in ${directory}. Check that the file is executable and that you own the directory, ` +
          'or set DATABASE_URL to use another Postgres.'
      : `Postgres must not run as root, and the user with uid ${owner.uid} cannot reach ${postgres} or ${directory} ` +
          `(setpriv of util-linux, which could give access, is missing or not permitted). ${ALTERNATIVES}`,
  );
}

const ALTERNATIVES =
  'Set DATABASE_URL to use another Postgres, or clone the project to a directory that every user can enter and set ' +
  'DATA_DIR to such a directory, or do not run as root.';

function optionsForRoot(owner: Owner): (readonly string[] | undefined)[] {
  const asOwner = [`--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups'];
  const reachingAllFiles = [
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    // Without this bit, access(2) ignores the capabilities of every user but root. initdb calls access(2) to
    // check that it can run the postgres program.
    '--securebits=+no_setuid_fixup',
  ];
  return [asOwner, [...asOwner, ...reachingAllFiles], undefined];
}

/**
 * If `setprivOptions` is undefined, the launcher starts the program directly, without setpriv. setpriv replaces itself
 * with the program, so the pid of the child is the pid of the program. The kernel sends `signalOnOurDeath` when the
 * *thread* that spawned the child ends. A Postgres that a worker thread starts therefore ends with that worker thread.
 */
function launcherWith(setprivOptions: readonly string[] | undefined, owner: Owner | undefined): Launcher {
  return {
    owner,
    launch: (program, args, { stdio, signalOnOurDeath }) => {
      if (setprivOptions === undefined) return spawn(program, args, { ...COMMON, ...owner, stdio });
      const deathSignal = `--pdeathsig=${signalOnOurDeath.slice('SIG'.length)}`;
      return spawn('setpriv', [...setprivOptions, deathSignal, '--', program, ...args], { ...COMMON, stdio });
    },
  };
}

const COMMON = {
  // Puts Postgres into a session of its own. Ctrl-C in a terminal signals all processes of the foreground group, and
  // would end Postgres before the service has finished its calls.
  detached: true,
  // The other user may have no access to the current directory.
  cwd: '/',
  // Postgres gets only these variables. The environment of this process could contain PGDATA, PGPORT, PGOPTIONS or
  // LC_*, which would all change what Postgres does.
  env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' },
};

/**
 * Whether the launcher's user can run the program and enter the directory. `test` calls access(2), as initdb does, so
 * a launcher that passes this check works for initdb too.
 */
function canUse(launcher: Launcher, postgres: string, directory: string): Promise<boolean> {
  const child = launcher.launch('/bin/sh', ['-c', 'test -x "$0" && test -x "$1"', postgres, directory], {
    stdio: 'ignore',
    signalOnOurDeath: 'SIGKILL',
  });
  return new Promise((resolve) => {
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}

/** Linux reserves this uid for the user without any rights, whose name differs between distributions. */
const UNPRIVILEGED_UID = 65_534;

/**
 * Finds a user without privileges: the user `postgres`, else the user with UNPRIVILEGED_UID. If neither exists, this
 * function throws. It creates no user, because nearly every Linux has a user with UNPRIVILEGED_UID. That user suffices
 * for initdb, which needs only a uid with a name.
 */
async function unprivilegedUser(): Promise<Owner> {
  const passwd = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const named = passwd.find(([name, , uid]) => name === 'postgres' && Number(uid) > 0);
  const [, , uid, gid] = named ?? passwd.find(([, , uid]) => uid === String(UNPRIVILEGED_UID)) ?? [];
  if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  throw new Error(
    `Postgres must not run as root, and there is neither a user postgres nor a user with uid ${UNPRIVILEGED_UID}. ` +
      ALTERNATIVES,
  );
}
