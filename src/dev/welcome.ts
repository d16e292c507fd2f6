import { type ServedCertificate, type TlsCommands, tlsCommands } from './tls-commands.ts';

interface WelcomeOptions {
  /** The host on which the service listens. */
  host: string;
  grpcPort: number;
  httpPort: number;
  userIdHeader: string;
  gateway: { kind: string };
  /** `undefined`: both ports are plaintext. */
  certificate: ServedCertificate | undefined;
}

const PLAINTEXT: Omit<TlsCommands, 'host'> = {
  before: '',
  curl: 'curl -s',
  grpcurl: 'grpcurl -plaintext',
  upload: 'npm run upload',
  steps: [],
};

/**
 * The text that `npm start` prints: the whole flow of an upload, ready to paste into another terminal. Each paste
 * uploads new content, because the service gives no URL for content that S3 has.
 */
export function welcome(options: WelcomeOptions): string {
  const { grpcPort, httpPort, userIdHeader, gateway, certificate } = options;
  const reached = reachable(options.host);
  const { host, before, curl, grpcurl, upload, steps } =
    certificate === undefined ? { ...PLAINTEXT, host: reached } : tlsCommands(certificate, reached, gateway);
  const http = `${certificate === undefined ? 'http' : 'https'}://${host}:${httpPort}`;
  // The commands name the variable GATEWAY_TOKENS instead of the token itself, because the printed text can be
  // recorded and stays in the terminal's history.
  const token = gateway.kind === 'token' ? ` -H "x-gateway-token: \${GATEWAY_TOKENS%%,*}"` : '';
  const identity = `-H '${userIdHeader}: 651eb6e11d156e0d7a42c59d'${token}`;
  const call = (method: string, body: string) =>
    `${curl} ${http}/files.v1.FileService/${method} \\
  -H 'Content-Type: application/json' ${identity} \\
  -d ${body}`;
  return `
  The file service is running, with a Postgres and an object store of its own.
    gRPC               ${host}:${grpcPort}
    Connect, gRPC-Web  ${http}

  Upload a file: paste this into another terminal${token && ' that has GATEWAY_TOKENS as here'}.
${steps.map((step) => `  ${step}\n`).join('')}
${before}echo "hello $(openssl rand -hex 4)" > hello.txt
MD5=$(openssl md5 -binary hello.txt | base64)
URL=$(${call('CreatePresignedUpload', `"{\\"filename\\": \\"hello.txt\\", \\"mimeType\\": \\"text/plain\\", \\"md5\\": \\"$MD5\\"}"`)} \\
  | sed -E 's/.*"presignedUrl":"([^"]*)".*/\\1/')
curl -T hello.txt -H 'Content-Type: text/plain' -H "Content-MD5: $MD5" "$URL"
${call('ListFiles', `'{}'`)}; echo

  Files of any size, with a progress bar:  ${upload === undefined ? 'npm run upload cannot, because it shows no certificate' : `${upload} -- PATH… --url ${http}`}
  With gRPC:  ${grpcurl} ${identity} ${host}:${grpcPort} files.v1.FileService/ListFiles
  The rest is in README.md. Ctrl-C stops everything; the files stay.

`;
}

/** Returns the host for URLs with which clients on this machine reach a service that listens on `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
