export interface WelcomeOptions {
  grpcPort: number;
  httpPort: number;
  userIdHeader: string;
}

/** What a newcomer sees after `npm start`: the whole flow, ready to paste into another terminal. */
export function welcome({ grpcPort, httpPort, userIdHeader }: WelcomeOptions): string {
  const http = `http://127.0.0.1:${httpPort}`;
  const call = (method: string, body: string) =>
    `curl -s ${http}/files.v1.FileService/${method} \\
  -H 'Content-Type: application/json' -H '${userIdHeader}: 651eb6e11d156e0d7a42c59d' \\
  -d ${body}`;
  return `
  The file service is running, with a Postgres and an object store of its own.
    gRPC               127.0.0.1:${grpcPort}
    Connect, gRPC-Web  ${http}

  Upload a file: paste this into another terminal.

echo 'hello' > hello.txt
MD5=$(openssl md5 -binary hello.txt | base64)
URL=$(${call('CreatePresignedUpload', `"{\\"filename\\": \\"hello.txt\\", \\"mimeType\\": \\"text/plain\\", \\"md5\\": \\"$MD5\\"}"`)} \\
  | sed -E 's/.*"presignedUrl":"([^"]*)".*/\\1/')
curl -T hello.txt -H 'Content-Type: text/plain' -H "Content-MD5: $MD5" "$URL"
${call('ListFiles', `'{}'`)}

  With gRPC:  grpcurl -plaintext -H '${userIdHeader}: 651eb6e11d156e0d7a42c59d' 127.0.0.1:${grpcPort} files.v1.FileService/ListFiles
  The rest is in README.md. Ctrl-C stops everything; the files stay.

`;
}
