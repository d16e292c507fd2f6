import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { resolve } from 'node:path';

/** The certificate of the service. */
export interface ServedCertificate {
  /** TLS_CERT_FILE */
  path: string;
  /** The certificate, and those of its authorities if the file has them. */
  pem: string;
}

/** What the commands of the welcome need for a service with TLS. */
export interface TlsCommands {
  /** The host of the service in the commands. */
  host: string;
  /** Shell commands before all others. */
  before: string;
  curl: string;
  grpcurl: string;
  /** The command for whole directories. `undefined`: that command cannot reach the service. */
  upload: string | undefined;
  /** The steps before the commands can be pasted, as sentences. */
  steps: readonly string[];
}

/**
 * The commands name the authority of the certificate by the variable CA, because most certificates for development have
 * an authority that no client knows. If the file has the authority itself, as that of a self-signed certificate has, the
 * commands set CA. With mTLS, they name the certificate of the gateway and its key by the variables CERT and KEY.
 *
 * @param address the host of the service in URLs
 */
export function tlsCommands(
  { path, pem }: ServedCertificate,
  address: string,
  gateway: { kind: string },
): TlsCommands {
  const certificate = new X509Certificate(pem);
  const host = hostOf(certificate, address);
  const hasAuthority = isSelfSigned(lastOf(pem));
  const isMutual = gateway.kind === 'mtls';
  return {
    host,
    before: hasAuthority ? `CA=${quoted(resolve(path))}\n` : '',
    curl: `curl -s --cacert "$CA"${isMutual ? ' --cert "$CERT" --key "$KEY"' : ''}`,
    grpcurl: `grpcurl -cacert "$CA"${isMutual ? ' -cert "$CERT" -key "$KEY"' : ''}`,
    upload: isMutual ? undefined : 'NODE_EXTRA_CA_CERTS="$CA" npm run upload',
    steps: [
      ...(hasAuthority ? [] : ['Set CA to the file of the authority that signed TLS_CERT_FILE.']),
      ...(isMutual ? ['Set CERT and KEY to the files of a gateway that TLS_ALLOWED_SANS names.'] : []),
      ...stepsForHost(certificate, host, address),
    ],
  };
}

function stepsForHost(certificate: X509Certificate, host: string, address: string): string[] {
  if (!isFor(certificate, host)) return [`Clients refuse the certificate, because it is not for ${host}.`];
  if (host === address || host === 'localhost') return [];
  return [`The certificate is for ${host}: let this name lead to ${address}.`];
}

/** Returns the address, or else a name of the certificate, because clients refuse a certificate for another host. */
function hostOf(certificate: X509Certificate, address: string): string {
  if (isFor(certificate, address)) return address;
  const isLoopback = address === '[::1]' || address.startsWith('127.');
  if (isLoopback && isFor(certificate, 'localhost')) return 'localhost';
  const [, name] = /DNS:([^,\s*"]+)(,|$)/.exec(certificate.subjectAltName ?? '') ?? [];
  return name ?? address;
}

function isFor(certificate: X509Certificate, host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return certificate.checkIP(bare) !== undefined;
  return certificate.checkHost(bare, { subject: 'never' }) !== undefined;
}

function lastOf(pem: string): X509Certificate {
  return new X509Certificate(pem.slice(pem.lastIndexOf('-----BEGIN CERTIFICATE-----')));
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey);
}

/** One word of a shell. */
function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}
