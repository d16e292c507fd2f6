import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../config/config-error.ts';
import type { TlsFiles } from '../../config/settings/gateway.ts';
import type { Certificates, Pem } from './tls.ts';

interface CertificateOptions {
  /** Called when new certificates are in use. @param notAfter the expiry of the new server certificate */
  onReloaded: (notAfter: Date) => void;
  /** Called when the new files are unusable. The previous certificates stay in use. */
  onError: (error: Error) => void;
}

/**
 * How often the files are read. `fs.watch` was rejected: Kubernetes and cert-manager swap a symbolic link two
 * directories above the file, which a watch of the file does not notice.
 */
const RELOAD_INTERVAL_MS = 1_000;

/**
 * Reads the certificates, and reads them again when the files change. If new files are unusable, for example
 * a key that does not match its certificate yet, `onError` is called once. It is called again only if the
 * error changes. The files are read every `RELOAD_INTERVAL_MS` in any case.
 *
 * @throws ConfigError that names every variable whose file cannot be used
 */
export async function openCertificates(
  files: TlsFiles,
  { onReloaded, onError }: CertificateOptions,
): Promise<Certificates & { stop(): void }> {
  const listeners: ((next: Pem) => void)[] = [];
  let current = await read(files);
  let lastFingerprint = fingerprint(current);
  let stopped = false;
  let timer = scheduleReload();

  async function reload(): Promise<void> {
    const result = await read(files).catch((error: Error) => error);
    if (stopped) return;
    timer = scheduleReload();
    if (fingerprint(result) === lastFingerprint) return;
    lastFingerprint = fingerprint(result);
    if (result instanceof Error) return onError(result);
    current = result;
    for (const listener of listeners) listener(current);
    onReloaded(new X509Certificate(current.cert).validToDate);
  }

  function scheduleReload(): NodeJS.Timeout {
    return setTimeout(() => void reload(), RELOAD_INTERVAL_MS).unref();
  }

  return {
    get current() {
      return current;
    },
    onChange: (listener) => void listeners.push(listener),
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function fingerprint(result: Pem | Error): string {
  return result instanceof Error ? result.message : Object.values(result).map(String).join();
}

async function read(files: TlsFiles): Promise<Pem> {
  const problems: string[] = [];
  const [cert, key, ca] = await Promise.all([
    part('TLS_CERT_FILE', files.cert, 'a certificate', (pem) => new X509Certificate(pem)),
    part('TLS_KEY_FILE', files.key, 'a private key without a passphrase', createPrivateKey),
    files.clientCa && part('TLS_CLIENT_CA_FILE', files.clientCa, 'certificates alone', parseAll),
  ]);
  if (cert && key && !cert.parsed.checkPrivateKey(key.parsed)) {
    problems.push(`TLS_KEY_FILE is not the key of TLS_CERT_FILE: ${files.key}, ${files.cert}`);
  }
  if (!cert || !key || problems.length > 0) throw new ConfigError(problems);
  return { cert: cert.pem, key: key.pem, ...(ca && { ca: ca.pem }) };

  async function part<Parsed>(variable: string, path: string, what: string, parse: (pem: Buffer) => Parsed) {
    const pem = await readFile(path).catch(
      (error: Error) => void problems.push(`${variable} ${error.message}`),
    );
    if (pem === undefined) return undefined;
    try {
      return { pem, parsed: parse(pem) };
    } catch {
      problems.push(`${variable} must hold ${what}, in PEM: ${path}`);
      return undefined;
    }
  }
}

/**
 * Parses every certificate of a file. OpenSSL itself silently accepts a file without certificates, and
 * silently ignores a broken certificate and all certificates after it.
 */
function parseAll(pem: Buffer): X509Certificate[] {
  const blocks = pem
    .toString()
    .split(/(?=-----BEGIN )/)
    .filter((block) => block.startsWith('-----BEGIN '));
  if (blocks.length === 0) throw new TypeError('no certificate');
  return blocks.map((block) => new X509Certificate(block));
}
