import { startProgram } from './start-program.ts';

/**
 * Starts nginx with a configuration that an operator would include in its `http` block. Everything that nginx
 * writes goes into a temporary directory.
 *
 * @param files written into that directory
 * @param include returns the included configuration for that directory
 */
export function startNginx(
  program: string,
  port: number,
  files: Record<string, string>,
  include: (directory: string) => string,
): Promise<AsyncDisposable> {
  return startProgram(program, port, (directory) => ({
    files: { ...files, 'include.conf': include(directory), 'nginx.conf': configuration(directory) },
    args: ['-p', directory, '-e', 'stderr', '-c', 'nginx.conf'],
    signalOnOurDeath: 'SIGTERM',
  }));
}

function configuration(directory: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${directory};`,
  );
  return [
    'daemon off;',
    'pid nginx.pid;',
    'events {}',
    'http {',
    ...temporary,
    '  access_log off;',
    '  include include.conf;',
    '}',
    '',
  ].join('\n');
}
