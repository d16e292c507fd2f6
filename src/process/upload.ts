import { fstatSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { runUpload, type UploadContext } from '../cli/upload.ts';
import { readClientConfig } from '../config/client-config.ts';
import { interruption } from './signals.ts';
import { terminal } from './terminal.ts';
import { cacheDirectory, userDirectory } from './user-paths.ts';

export async function uploadCommand(args: string[]): Promise<void> {
  process.exitCode = await runUpload(args, uploadContext, terminal, interruption());
}

/** The command calls this function when it needs the settings: `--help` must work in a wrong environment. */
function uploadContext(): UploadContext {
  const { listen, tls, userIdHeader, gatewayToken } = readClientConfig(process.env);
  const { host, httpPort } = listen;
  return {
    url: `http${tls ? 's' : ''}://${isIPv6(host) ? `[${host}]` : host}:${httpPort}`,
    userIdHeader,
    gatewayToken,
    openStdin,
    directory: userDirectory('upload'),
    md5CachePath: join(cacheDirectory(), 'file-service', 'md5s'),
  };
}

/**
 * Returns standard input. Throws for a directory, because Node reads a directory as if it were empty. Throws for a device
 * that is no terminal, because /dev/null is empty and /dev/zero has no end. Node opens /dev/null where standard input is
 * closed, and cron and systemd do so, too. The command would store an empty file.
 */
function openStdin(): Readable & { isTTY?: boolean } {
  const { stdin } = process;
  const stats = fstatSync(stdin.fd);
  if (stats.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
  if (stats.isCharacterDevice() && !stdin.isTTY)
    throw Object.assign(new Error('a device'), { code: 'ENODEV' });
  return stdin;
}
