import type { Logger } from 'pino';
import type { TlsFiles } from '../config/settings/gateway.ts';
import { openCertificates } from '../rpc/tls/certificates.ts';

/** Opens the configured certificates, if there are any, and logs each reload. */
export async function openLoggedCertificates(files: TlsFiles | undefined, log: Logger) {
  if (files === undefined) return undefined;
  return openCertificates(files, {
    onReloaded: (notAfter) => log.info({ notAfter }, 'new certificates are in use'),
    onError: (error) =>
      log.error({ err: error }, 'new certificates cannot be used; the old certificates stay in use'),
  });
}
