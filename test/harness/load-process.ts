/**
 * Offers a load to the service and reports the outcome. It uses bare HTTP/2: a gRPC client costs more for
 * each call than the service does, so the test would measure the client.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type DescMessage, toBinary } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import type { Load, LoadOutcome, Percentiles } from './load.ts';

const CONNECTIONS = 4;
const TICK_MS = 5;

// The test ended without waiting for the outcome.
process.once('disconnect', () => process.exit());
process.once('message', async (load: Load) => {
  const outcome = await drive(load);
  process.send?.(outcome);
});

async function drive(load: Load): Promise<LoadOutcome> {
  const sessions = Array.from({ length: CONNECTIONS }, () => connect(`http://${load.target}`));
  await Promise.all(sessions.map((session) => once(session, 'connect')));
  const codes: Record<string, number> = {};
  const [ok, refused] = [createHistogram(), createHistogram()];
  const callsMax = load.callsMax ?? Number.POSITIVE_INFINITY;
  const startMs = performance.now();
  const endMs = startMs + load.seconds * 1_000;
  let calls = 0;

  const one = async () => {
    const beganMs = performance.now();
    const number = calls++;
    const session = sessions[number % CONNECTIONS] as ClientHttp2Session;
    const user = `${load.users.name}-${number % load.users.count}`;
    const code = await call(session, load, user, number);
    codes[code] = (codes[code] ?? 0) + 1;
    // A histogram accepts only whole numbers above 0.
    const tookUs = Math.max(1, Math.round((performance.now() - beganMs) * 1_000));
    if (code === 'OK') ok.record(tookUs);
    else if (code === 'RESOURCE_EXHAUSTED') refused.record(tookUs);
  };
  const goesOn = () => performance.now() < endMs && calls < callsMax;

  if (load.pace.kind === 'closed') {
    const worker = async () => {
      while (goesOn()) await one();
    };
    await Promise.all(Array.from({ length: load.pace.callsAtOnce }, worker));
  } else {
    const underWay = new Set<Promise<void>>();
    while (goesOn()) {
      const due = ((performance.now() - startMs) / 1_000) * load.pace.callsPerSecond;
      while (calls < due && goesOn()) {
        const begun = one();
        underWay.add(begun);
        void begun.then(() => underWay.delete(begun));
      }
      await sleep(TICK_MS);
    }
    await Promise.all(underWay);
  }
  const seconds = (performance.now() - startMs) / 1_000;
  for (const session of sessions) session.destroy();
  return { codes, calls, seconds, okMs: percentiles(ok), refusedMs: percentiles(refused) };
}

/** @returns the name of the gRPC code with which the call ended */
function call(session: ClientHttp2Session, load: Load, user: string, number: number): Promise<string> {
  return new Promise((resolve) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/files.v1.FileService/${load.call}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': `${load.timeoutMs}m`,
      'x-user-id': user,
    });
    let code: string = 'UNAVAILABLE';
    const read = (headers: Record<string, unknown>) => {
      const given = headers['grpc-status'];
      if (given !== undefined) code = status[Number(given)] ?? `${given}`;
    };
    const timer = setTimeout(() => {
      code = 'DEADLINE_EXCEEDED';
      stream.close();
    }, load.timeoutMs);
    stream.on('response', read).on('trailers', read);
    stream.on('error', () => {});
    stream.on('close', () => {
      clearTimeout(timer);
      resolve(code);
    });
    stream.resume();
    stream.end(frame(load, number));
  });
}

/** An uncompressed gRPC message: a flag byte, the length, the bytes. */
function frame({ call, file, users }: Load, number: number): Buffer {
  const { listFiles, getFile, createPresignedUpload, deleteFile, createPresignedDownload } =
    FileService.method;
  const filename = file?.filename ?? `${users.name}-${number}.txt`;
  const s3Key = file?.s3Key ?? `${users.name}-${number % users.count}_${filename}`;
  switch (call) {
    case 'ListFiles':
      return framed(listFiles.input, {});
    case 'GetFile':
      return framed(getFile.input, { s3Key });
    case 'DeleteFile':
      return framed(deleteFile.input, { s3Key });
    case 'CreatePresignedDownload':
      return framed(createPresignedDownload.input, { s3Key });
    case 'CreatePresignedUpload': {
      const md5 = file?.md5 ?? createHash('md5').update(filename).digest('hex');
      return framed(createPresignedUpload.input, { filename, mimeType: 'text/plain', md5 });
    }
  }
}

function framed(schema: DescMessage, init: object): Buffer {
  const message = toBinary(schema, create(schema, init as never));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function percentiles(histogram: RecordableHistogram): Percentiles {
  const [p50, p99, max] = [50, 99, 100].map((share) => histogram.percentile(share) / 1_000);
  return { p50, p99, max } as Percentiles;
}
