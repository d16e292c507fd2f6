import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../config/config.ts';
import type { Certificates, Pem } from './tls.ts';

export interface CertificateFiles {
  cert: string;
  key: string;
  /** Whose certificates clients may show; unset, and they are asked for none. */
  clientCa: string | undefined;
}

export interface CertificateOptions {
  onReloaded: (notAfter: Date) => void;
  /** What was there before stays in use. */
  onError: (error: Error) => void;
}

/**
 * How often the files are read. Reading takes less than one would spend on watching:
 * Kubernetes and cert-manager swap a symbolic link two directories up, which
 * a watch of the file does not see.
 */
const RELOAD_INTERVAL_MS = 1_000;

/**
 * Reads the certificates, and again whenever the files change. New ones that do not
 * fit each other (yet) are told of once, and looked at again when they change.
 *
 * @throws ConfigError that names every variable whose file cannot be used
 */
export async function openCertificates(
  files: CertificateFiles,
  { onReloaded, onError }: CertificateOptions,
): Promise<Certificates & { stop(): void }> {
  const listeners: ((next: Pem) => void)[] = [];
  let current = await read(files);
  let seen = fingerprint(current);
  let stopped = false;
  let timer = next();

  async function look(): Promise<void> {
    const found = await read(files).catch((error: Error) => error);
    if (stopped) return;
    timer = next();
    if (fingerprint(found) === seen) return;
    seen = fingerprint(found);
    if (found instanceof Error) return onError(found);
    current = found;
    for (const listener of listeners) listener(current);
    onReloaded(new X509Certificate(current.cert).validToDate);
  }

  function next(): NodeJS.Timeout {
    return setTimeout(() => void look(), RELOAD_INTERVAL_MS).unref();
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

function fingerprint(found: Pem | Error): string {
  return found instanceof Error ? found.message : Object.values(found).map(String).join();
}

async function read(files: CertificateFiles): Promise<Pem> {
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

/** OpenSSL itself takes those before a broken one, and a file without any, and does not say so. */
function parseAll(pem: Buffer): X509Certificate[] {
  const blocks = pem
    .toString()
    .split(/(?=-----BEGIN )/)
    .filter((block) => block.startsWith('-----BEGIN '));
  if (blocks.length === 0) throw new TypeError('no certificate');
  return blocks.map((block) => new X509Certificate(block));
}
