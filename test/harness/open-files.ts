import { fstatSync, readdirSync, type Stats, statSync } from 'node:fs';

/** Which of these files this process has open. Linux and macOS both list the descriptors of a process in /dev/fd. */
export function openFiles(paths: readonly string[]): string[] {
  const open = new Set(readdirSync('/dev/fd').map((descriptor) => openFile(Number(descriptor))));
  return paths.filter((path) => open.has(identity(statSync(path))));
}

function openFile(descriptor: number): string | undefined {
  try {
    return identity(fstatSync(descriptor));
  } catch {
    return undefined; // the descriptor of the list itself, which is closed by now
  }
}

function identity({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}
