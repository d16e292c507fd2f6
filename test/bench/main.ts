/**
 * What a call costs: `npm run bench [CALLS]`.
 *
 * The service runs as users start it, in a process of its own with the embedded
 * servers; this process drives it over real gRPC. The figure that counts is the
 * server's own CPU time per call: the wall clock measures the driver as well.
 */
import { cpus } from 'node:os';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { FileService, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { md5, newUser } from '../harness/made-up.ts';
import { put } from '../harness/put.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { cpuMicroseconds } from './cpu.ts';

const CALLS_DEFAULT = 20_000;
/** Before the first figure, the JIT has to be done with what is measured. */
const WARM_UP_SHARE = 0.5;
const CALLS_AT_ONCE = 16;
const LISTED_FILES = 100;

const calls = Number(process.argv[2] ?? CALLS_DEFAULT);
const user = newUser();
await using directory = await temporaryDirectory();
await using service = await startService({ environment: { DATA_DIR: directory.path } });
const files = createClient(
  FileService,
  createGrpcTransport({
    baseUrl: `http://${service.grpc}`,
    interceptors: [
      (next) => (request) => {
        request.header.set('x-user-id', user);
        return next(request);
      },
    ],
  }),
);

const existing = await uploaded(files);
let made = 0;
const MEASURED: Record<string, () => Promise<unknown>> = {
  'create, new': () =>
    files.createPresignedUpload({
      filename: `${made}.pdf`,
      mimeType: 'application/pdf',
      md5: md5(`${made++}`),
    }),
  'create, existing': () => files.createPresignedUpload(existing),
  [`list ${LISTED_FILES}`]: () => files.listFiles({ filenamePrefix: 'listed' }),
  get: () => files.getFile({ s3Key: existing.s3Key }),
  download: () => files.createPresignedDownload({ s3Key: existing.s3Key }),
};

print(`${new Date().toISOString()}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
print(`${calls} calls each, ${CALLS_AT_ONCE} at once, after ${calls * WARM_UP_SHARE} to warm up\n`);
print('| call | server CPU µs | calls/s | p50 ms | p99 ms |\n|---|---|---|---|---|');
for (const [name, call] of Object.entries(MEASURED)) {
  await run(call, calls * WARM_UP_SHARE);
  const cpuBefore = await cpuMicroseconds(service.pid);
  const startMs = performance.now();
  const latencies = await run(call, calls);
  const seconds = (performance.now() - startMs) / 1_000;
  const cpu = (await cpuMicroseconds(service.pid)) - cpuBefore;
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? Number.NaN).toFixed(1);
  print(
    `| ${name} | ${(cpu / calls).toFixed(0)} | ${(calls / seconds).toFixed(0)} | ${at(0.5)} | ${at(0.99)} |`,
  );
}

/** A READY file, and a page's worth more of them. */
async function uploaded(client: Client<typeof FileService>) {
  const request = { filename: 'existing.pdf', mimeType: 'application/pdf', md5: md5('existing') };
  const answer = await client.createPresignedUpload(request);
  await put(answer, 'existing');
  for (let i = 0; i < LISTED_FILES; i++) {
    const bytes = `listed ${i}`;
    await put(
      await client.createPresignedUpload({ filename: bytes, mimeType: 'text/plain', md5: md5(bytes) }),
      bytes,
    );
  }
  const { files: listed } = await client.listFiles({ filenamePrefix: 'listed' });
  const again = await client.createPresignedUpload(request);
  if (listed.length !== LISTED_FILES || again.type !== UploadType.EXISTING) {
    throw new Error('the service does not answer as it should; nothing is measured');
  }
  return { ...request, s3Key: answer.s3Key };
}

/** @returns each call's latency in milliseconds */
async function run(call: () => Promise<unknown>, count: number): Promise<number[]> {
  const latencies: number[] = [];
  let started = 0;
  const lane = async () => {
    while (started++ < count) {
      const startMs = performance.now();
      await call();
      latencies.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, lane));
  return latencies;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
