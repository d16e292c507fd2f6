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
 * Returns standard input. Throws for a directory, because Node reads a directory as if it were empty, so the command
 * would store an empty file.
 */
function openStdin(): Readable {
  const { stdin } = process;
  if (fstatSync(stdin.fd).isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
  return stdin;
}
