// @peculiar/x509 requires this import.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A certificate and its key, in PEM. */
export interface Pair {
  cert: string;
  key: string;
}

interface Leaf {
  /** `gateway.internal`, or a URI. */
  names: readonly string[];
  use?: 'server' | 'client';
  /** Default: one day. A negative value makes an expired certificate. */
  validMs?: number;
}

/** A certificate authority for one test. Its key never leaves the memory, so no other test can use it. */
export interface Authority {
  /** The certificate for the peers that trust this authority. */
  readonly cert: string;
  issue(leaf: Leaf): Promise<Pair>;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;
/** Clocks differ. A certificate is valid from one minute ago, so that a slow clock accepts it too. */
const SKEW_MS = 60_000;
const USES = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };

export async function createAuthority(): Promise<Authority> {
  const own = await newKeys();
  const name = `CN=test authority ${randomBytes(4).toString('hex')}`;
  const certificate = await X509CertificateGenerator.create({
    subject: name,
    issuer: name,
    ...validity(DAY_MS),
    publicKey: own.publicKey,
    signingKey: own.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  });
  return {
    cert: certificate.toString('pem'),
    issue: (leaf) => issue(leaf, name, own.privateKey),
  };
}

/** A certificate that its own key signed, so no authority vouches for it. */
export async function selfSigned(leaf: Leaf): Promise<Pair> {
  return issue(leaf, 'CN=self-signed', undefined);
}

async function issue(leaf: Leaf, issuer: string, signer: webcrypto.CryptoKey | undefined): Promise<Pair> {
  const { publicKey, privateKey, pem } = await newKeys();
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomBytes(8)
      .toString('hex')
      .replace(/^[89a-f]/, '1'),
    subject: signer === undefined ? issuer : 'CN=a test',
    issuer,
    ...validity(leaf.validMs ?? DAY_MS),
    publicKey,
    signingKey: signer ?? privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new ExtendedKeyUsageExtension([USES[leaf.use ?? 'client']]),
      new SubjectAlternativeNameExtension(leaf.names.map((value) => ({ type: typeOf(value), value }))),
    ],
  });
  return { cert: certificate.toString('pem'), key: pem };
}

function typeOf(name: string): 'dns' | 'url' | 'ip' {
  if (name.includes('://')) return 'url';
  return /^[0-9.]+$/.test(name) ? 'ip' : 'dns';
}

function validity(milliseconds: number) {
  const end = Date.now() + milliseconds;
  return { notBefore: new Date(Math.min(end, Date.now()) - SKEW_MS), notAfter: new Date(end) };
}

async function newKeys() {
  const { publicKey, privateKey } = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const bytes = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey)).toString('base64');
  return {
    publicKey,
    privateKey,
    pem: `-----BEGIN PRIVATE KEY-----\n${bytes.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
  };
}
