import { expect, test, vi } from 'vitest';
import { dataDirectory } from '../harness/data-directory.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { download, type FileClient, upload } from './upload.ts';

/** Real starts, each with an initdb: seconds on an idle machine, more on a busy one. */
vi.setConfig({ testTimeout: 120_000 });

const ADA = { 'x-user-id': 'ada' };

/** 1.3 s on two idle cores, the recovery of Postgres included. A start that waits for something takes longer. */
const SECOND_START_MS = 6_000;

interface Ending {
  how: string;
  end: (service: ServiceProcess) => Promise<unknown>;
}

const endings: Ending[] = [
  { how: 'a stop', end: (service) => service.stop() },
  { how: 'kill -9', end: killAtOnce },
];

test.for(endings)('after $how and a start the files are there, and so are their URLs', async ({ end }) => {
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

test('after kill -9 in the middle of uploads exactly those that were acknowledged are listed, and are whole', async () => {
  await using directory = await dataDirectory();
  const environment = { DATA_DIR: directory.path };
  await using first = await startService({ environment });
  const acknowledged = new Set<string>();
  const started = new Set<string>();
  const uploading = Array.from({ length: 8 }, (_, lane) =>
    uploadUntilItFails(first.client(ADA), lane, started, acknowledged),
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
  // What S3 had taken when its answer was lost is there as well: no row without bytes, no bytes without a row.
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
  lane: number,
  started: Set<string>,
  acknowledged: Set<string>,
): Promise<void> {
  for (let count = 0; ; count += 1) {
    const name = `lane-${lane}-${count}.txt`;
    started.add(name);
    try {
      await upload(client, name, contentOf(name));
    } catch {
      return; // the service is gone
    }
    acknowledged.add(name);
  }
}

/** Large enough to be cut in the middle. */
function contentOf(name: string): string {
  return name.repeat(20_000);
}
