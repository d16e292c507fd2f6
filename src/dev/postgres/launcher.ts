import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface LaunchOptions {
  readonly stdio: StdioOptions;
  /** Sent by the kernel to the program when this process dies, however it dies. Linux only, and best effort. */
  readonly signalOnOurDeath: NodeJS.Signals;
}

/** A way to run Postgres's programs from this process. */
export interface Launcher {
  /** Whose the files of Postgres must be. Undefined: this process's own user. */
  readonly owner: Owner | undefined;
  readonly launch: (program: string, args: readonly string[], options: LaunchOptions) => ChildProcess;
}

/**
 * Picks the first way that works here; every way is tried on the real binary and the real directory, since whether it
 * works depends on modes, capabilities, and the util-linux at hand.
 *
 * Postgres refuses to run as root, so root runs it as somebody else. But the clone may stand where nobody else can go
 * (a `mktemp -d` directory or /root has mode 700), and the modes of directories that are not ours are not ours to
 * change. So where the other user cannot reach the files by itself, it gets the one capability of root's that lets it.
 *
 * `existingOwner` is the owner of a cluster that is already there; Postgres insists on it.
 */
export async function chooseLauncher(
  postgres: string,
  directory: string,
  existingOwner: Owner | undefined,
): Promise<Launcher> {
  const isRoot = process.geteuid?.() === 0;
  const owner = isRoot ? (existingOwner ?? (await unprivilegedUser())) : undefined;
  for (const launcher of owner === undefined ? waysForUser() : waysForRoot(owner)) {
    if (await canUse(launcher, postgres, directory)) return launcher;
  }
  throw new Error(
    owner === undefined
      ? `Cannot run ${postgres} in ${directory}: check that the file is executable and the directory yours, or set ` +
          'DATABASE_URL to use a Postgres of your own.'
      : `Postgres must not run as root, and the user with uid ${owner.uid} cannot reach ${postgres} or ${directory} ` +
          `(setpriv of util-linux, which could let it, is missing or not permitted). ${WAYS_OUT}`,
  );
}

const WAYS_OUT =
  'Set DATABASE_URL to use a Postgres of your own, or clone the project and set DATA_DIR where every user can go, ' +
  'or do not run as root.';

function waysForUser(): Launcher[] {
  return [throughSetpriv(undefined, []), directly(undefined)];
}

function waysForRoot(owner: Owner): Launcher[] {
  const asOwner = [`--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups'];
  const reachingAllFiles = [
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    // access(2) forgets the capabilities of anyone but root unless this bit is set, and initdb asks access(2)
    // whether it may run the postgres beside it.
    '--securebits=+no_setuid_fixup',
  ];
  return [
    throughSetpriv(owner, asOwner),
    throughSetpriv(owner, [...asOwner, ...reachingAllFiles]),
    directly(owner),
  ];
}

/**
 * setpriv replaces itself with the program, so the child's pid is the program's. The kernel ties the signal to the
 * *thread* that spawned the child: started from a worker thread, Postgres ends with that worker.
 */
function throughSetpriv(owner: Owner | undefined, args: readonly string[]): Launcher {
  return {
    owner,
    launch: (program, programArgs, { stdio, signalOnOurDeath }) => {
      const deathSignal = `--pdeathsig=${signalOnOurDeath.slice('SIG'.length)}`;
      return spawn('setpriv', [...args, deathSignal, '--', program, ...programArgs], { ...COMMON, stdio });
    },
  };
}

function directly(owner: Owner | undefined): Launcher {
  return {
    owner,
    launch: (program, args, { stdio }) => spawn(program, args, { ...COMMON, ...owner, stdio }),
  };
}

const COMMON = {
  // A session of its own: Ctrl-C in a terminal signals the whole foreground group, and Postgres would be gone before
  // the service has drained.
  detached: true,
  // The current directory may be out of the other user's reach.
  cwd: '/',
  // Nothing of the caller's: PGDATA, PGPORT, PGOPTIONS and LC_* would all change what Postgres does.
  env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' },
};

/** `test` asks access(2), as initdb does, so a way that passes here passes there. */
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

/** No user is created: `nobody` is on every Linux, and initdb needs no more than a name for its uid. */
async function unprivilegedUser(): Promise<Owner> {
  const passwd = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const [, , uid, gid] = passwd.find(([name]) => name === wanted) ?? [];
    if (Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    `Postgres must not run as root, and there is no user postgres or nobody to run it as. ${WAYS_OUT}`,
  );
}
