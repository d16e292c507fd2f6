/**
 * Measures the speed of an upload: `npm run bench:upload [MEBIBYTES] [ROUNDS]`.
 *
 * Compares `uploadFile`, hashing included, with `Upload` of the AWS SDK, with the same part size and
 * concurrency. Both upload in turns to the same development object store, which runs in the service's
 * process. Both read the same file. Each round first overwrites some bytes of every MiB, so that the content
 * is new.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { type Progress, uploadFile } from '../../src/client/node.ts';
import { newUser } from '../harness/random.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

const MiB = 1024 ** 2;
const PART_BYTES = 64 * MiB;
const CONCURRENCY = 4;

const sizeBytes = Number(process.argv[2] ?? 512) * MiB;
const rounds = Number(process.argv[3] ?? 5);

await using directory = await temporaryDirectory();
await using service = await startService({ environment: { DATA_DIR: directory.path } });
const files = service.client({ 'x-user-id': newUser() });
const { port, accessKeyId, secretAccessKey } = JSON.parse(
  await readFile(join(directory.path, 's3/settings.json'), 'utf8'),
);
const s3 = new S3Client({
  endpoint: `http://127.0.0.1:${port}`,
  region: 'us-east-1',
  credentials: { accessKeyId, secretAccessKey },
  forcePathStyle: true,
});

const path = join(directory.path, 'film');
await using film = await open(path, 'w+');
for (let at = 0; at < sizeBytes; at += MiB) await film.write(randomBytes(MiB), 0, MiB, at);

interface Run {
  seconds: number;
  cpuSeconds: number;
  hashingSeconds: number;
}

const ours: Run[] = [];
const bySdk: Run[] = [];
print(`${new Date().toISOString()}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
print(
  `${sizeBytes / MiB} MiB in parts of ${PART_BYTES / MiB} MiB, ${CONCURRENCY} at once, ${rounds} rounds after one\n`,
);
for (let round = 0; round <= rounds; round++) {
  await renew();
  // The order alternates, because the disk is slower after a gigabyte of writes.
  const turns = [() => measure(uploadOurs), () => measure(uploadWithSdk)];
  const order = round % 2 === 0 ? [0, 1] : [1, 0];
  const runs: Run[] = [];
  for (const turn of order) runs[turn] = (await turns[turn]?.()) as Run;
  // The first round warms up and is not counted.
  if (round === 0) continue;
  ours.push(runs[0] as Run);
  bySdk.push(runs[1] as Run);
}
s3.destroy();

print('| median | MiB/s | client CPU s | of the time, hashing |\n|---|---|---|---|');
print(row('uploadFile', ours));
print(row('lib-storage Upload', bySdk));
const ratio = median(ours.map((run, i) => (bySdk[i]?.seconds ?? 0) / run.seconds));
print(`\nuploadFile is ${ratio.toFixed(2)} times as fast (median of the rounds)`);

async function uploadOurs(): Promise<number> {
  const startMs = performance.now();
  let hashingMs = 0;
  const onProgress = ({ phase }: Progress) => {
    if (phase === 'sending' && hashingMs === 0) hashingMs = performance.now() - startMs;
  };
  const { file, bytesSent } = await uploadFile(files, path, { concurrency: CONCURRENCY, onProgress });
  if (bytesSent !== sizeBytes)
    throw new Error('uploadFile did not send all bytes, so the measurement is invalid');
  await files.deleteFile({ s3Key: file.s3Key });
  return hashingMs / 1_000;
}

async function uploadWithSdk(): Promise<number> {
  const location = { Bucket: 'files', Key: 'bySdk' };
  const params = { ...location, Body: createReadStream(path) };
  await new Upload({ client: s3, params, partSize: PART_BYTES, queueSize: CONCURRENCY }).done();
  await s3.send(new DeleteObjectCommand(location));
  return 0;
}

async function measure(upload: () => Promise<number>): Promise<Run> {
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const hashingSeconds = await upload();
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    seconds: (performance.now() - startMs) / 1_000,
    cpuSeconds: (user + system) / 1_000_000,
    hashingSeconds,
  };
}

async function renew(): Promise<void> {
  for (let at = 0; at < sizeBytes; at += MiB) await film.write(randomBytes(16), 0, 16, at);
}

function row(name: string, runs: Run[]): string {
  const speed = sizeBytes / MiB / median(runs.map(({ seconds }) => seconds));
  const cpu = median(runs.map(({ cpuSeconds }) => cpuSeconds));
  const hashing = median(runs.map(({ hashingSeconds, seconds }) => hashingSeconds / seconds));
  return `| ${name} | ${speed.toFixed(0)} | ${cpu.toFixed(2)} | ${(hashing * 100).toFixed(0)} % |`;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
