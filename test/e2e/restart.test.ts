import { expect, test, vi } from 'vitest';
import { dataDirectory } from '../harness/data-directory.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { download, type FileClient, upload } from '../harness/upload.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const ADA = { 'x-user-id': 'ada' };

/**
 * A start takes 1.3 s on two idle cores, with the recovery of Postgres. A start that waits for a timeout is
 * slower.
 */
const SECOND_START_MS = 6_000;

interface Ending {
  how: string;
  end: (service: ServiceProcess) => Promise<unknown>;
}

const endings: Ending[] = [
  { how: 'a stop', end: (service) => service.stop() },
  { how: 'kill -9', end: killAtOnce },
];

test.for(endings)('files and their URLs survive $how and a start', async ({ end }) => {
  await using directory = await dataDirectory();
  const environment = { DATA_DIR: directory.path };
  await using first = await startService({ environment });
  const s3Key = await upload(first.client(ADA), 'notes.txt', 'kept');
  const { presignedUrl } = await first.client(ADA).createPresignedDownload({ s3Key });
  await end(first);

  const startMs = performance.now();
  await using second = await startService({ environment });
  expect(performance.now() - startMs).toBeLessThan(SECOND_START_MS);
  const { files } = await second.client(ADA).listFiles({});
  expect(files).toMatchObject([{ s3Key, filename: 'notes.txt', size: 4n }]);
  expect(await download(second.client(ADA), s3Key)).toBe('kept');
  const early = await fetch(presignedUrl);
  expect(await early.text()).toBe('kept');
  await second.stop();
});

test('all acknowledged uploads are listed and complete after kill -9 in the middle of uploads', async () => {
  await using directory = await dataDirectory();
  const environment = { DATA_DIR: directory.path };
  await using first = await startService({ environment });
  const acknowledged = new Set<string>();
  const started = new Set<string>();
  const uploading = Array.from({ length: 8 }, (_, worker) =>
    uploadUntilItFails(first.client(ADA), worker, started, acknowledged),
  );
  await expect.poll(() => acknowledged.size, { timeout: 20_000, interval: 5 }).toBeGreaterThan(40);
  await killAtOnce(first);
  await Promise.all(uploading);

  await using second = await startService({ environment });
  const client = second.client(ADA);
  const listed = new Set<string>();
  let pageToken = '';
  do {
    const page = await client.listFiles({ pageToken });
    for (const { filename, s3Key } of page.files) {
      listed.add(filename);
      expect(await download(client, s3Key)).toBe(contentOf(filename));
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  // An upload whose answer was lost may be listed too. No row is without bytes, and no bytes are without a
  // row.
  expect([...acknowledged].filter((name) => !listed.has(name))).toEqual([]);
  expect([...listed].filter((name) => !started.has(name))).toEqual([]);
  await second.stop();
});

async function killAtOnce(service: ServiceProcess): Promise<void> {
  service.kill('SIGKILL');
  await service.exit;
}

async function uploadUntilItFails(
  client: FileClient,
  worker: number,
  started: Set<string>,
  acknowledged: Set<string>,
): Promise<void> {
  for (let count = 0; ; count += 1) {
    const name = `worker-${worker}-${count}.txt`;
    started.add(name);
    try {
      await upload(client, name, contentOf(name));
    } catch {
      return; // the service was killed
    }
    acknowledged.add(name);
  }
}

/** Large enough that the kill happens in the middle of a PUT. */
function contentOf(name: string): string {
  return name.repeat(20_000);
}
