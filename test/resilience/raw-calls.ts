import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect } from 'node:net';

/** The answer to a request, as far as it arrived. */
export interface RawAnswer {
  /**
   * The HTTP status, followed by the gRPC status if there is one; `closed` or `reset …` without an answer.
   */
  outcome: string;
  text: string;
}

const PATIENCE_MS = 15_000;

/** Writes bytes to a new connection, and reads until the connection is closed or an answer has arrived. */
export function tell(port: number, bytes: string | Uint8Array): Promise<RawAnswer> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const done = () => {
      socket.destroy();
      const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
      resolve({ outcome: status ?? 'closed', text });
    };
    socket.setEncoding('latin1').on('data', (part) => {
      text += part;
      if (text.includes('\r\n\r\n')) done();
    });
    socket.setTimeout(PATIENCE_MS, () => resolve({ outcome: 'nothing', text }));
    socket.on('error', () => {}).once('close', done);
  });
}

/** Sends a request over HTTP/2 with any headers on a new connection. */
export async function ask(port: number, headers: OutgoingHttpHeaders, body?: Uint8Array): Promise<RawAnswer> {
  const session = connectHttp2(`http://127.0.0.1:${port}`).on('error', () => {});
  try {
    return await askOn(session, headers, body);
  } finally {
    session.destroy();
  }
}

/** Sends a request over HTTP/2 on an open connection, with its whole body at once. */
export function askOn(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: Uint8Array = new Uint8Array(),
): Promise<RawAnswer> {
  return new Promise((resolve) => {
    let outcome = 'closed';
    let text = '';
    const stream = session.request({ ':method': 'POST', ...headers }, { endStream: false });
    const done = () => {
      resolve({ outcome, text });
      stream.close(constants.NGHTTP2_CANCEL);
    };
    const note = (fields: Record<string, unknown>) => {
      if (fields[':status'] !== undefined) outcome = `${fields[':status']}`;
      if (fields['grpc-status'] !== undefined) outcome += ` grpc ${fields['grpc-status']}`;
      if (fields['grpc-message'] !== undefined) text += `${fields['grpc-message']}`;
    };
    stream
      .on('response', note)
      .on('trailers', note)
      .on('error', () => {});
    stream.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    stream.setTimeout(PATIENCE_MS, () => {
      outcome = 'nothing';
      done();
    });
    stream.once('end', () => {
      // gRPC-Web has its trailers in the body.
      const trailer = /grpc-status: ?(\d+)/.exec(text)?.[1];
      if (trailer !== undefined) outcome += ` grpc ${trailer}`;
      done();
    });
    stream.once('close', () => {
      const { rstCode } = stream;
      if (rstCode !== constants.NGHTTP2_NO_ERROR && outcome === 'closed') outcome = `reset ${rstCode}`;
      done();
    });
    stream.end(body);
  });
}

/** The headers of a gRPC call over HTTP/2, to either port. */
export function grpc(method: string, further: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  return {
    ':path': `/files.v1.FileService/${method}`,
    te: 'trailers',
    'content-type': 'application/grpc',
    'x-user-id': 'ada',
    ...further,
  };
}

/** The headers of a Connect call over HTTP/2. */
export function json(method: string, further: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  return {
    ':path': `/files.v1.FileService/${method}`,
    'content-type': 'application/json',
    'x-user-id': 'ada',
    ...further,
  };
}

export const outcomes = async (answers: Promise<RawAnswer>[]): Promise<string[]> =>
  (await Promise.all(answers)).map(({ outcome }) => outcome);
