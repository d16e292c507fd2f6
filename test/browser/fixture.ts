/**
 * A browser with the page behind its gateway, the service, and a bucket with the CORS rules of the README.
 */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@connectrpc/connect';
import type { Page } from 'playwright-core';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import type { UploadOptions } from '../../src/client/upload/upload-file.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { selfSigned } from '../harness/certificates.ts';
import { startTestService, type TestService } from '../harness/service.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { BUNDLES, bundlePage } from './bundle.ts';
import { launchChromium } from './chromium.ts';
import rules from './cors.json' with { type: 'json' };
import { type Gateway, startGateway } from './gateway.ts';

/** APP is the host that the CORS rules name; ELSEWHERE is not named. The gateway serves the page at both. */
export const APP = 'app.example.com';
export const ELSEWHERE = 'elsewhere.example.com';

/** The part size: 5 MiB is S3's minimum, so a file of several parts needs few bytes. */
export const PART_UNIT_BYTES = 5 * 1024 ** 2;

/** In most tests a file of two parts or more is sent in parts. A failing upload fails before a test times out. */
const OPTIONS: UploadOptions = { multipartFromBytes: PART_UNIT_BYTES + 1, retryForMs: 2_000 };

/** The time limit of an upload and the list after it: enough for a busy machine. */
const SHOWN_TIMEOUT_MS = 15_000;

export interface Address {
  /** Default: APP */
  host?: string;
  /** Default: the page in the bundle of Vite */
  path?: string;
  /** The options of the uploads. */
  options?: UploadOptions;
}

export interface Fixture extends AsyncDisposable {
  readonly service: TestService;
  readonly gateway: Gateway;
  readonly page: Page;
  /** Signs the user in and opens the page. */
  open(user: string, address?: Address): Promise<void>;
  /** Writes a file to the disk and returns its path. */
  file(name: string, bytes: string | Buffer): Promise<string>;
  /** Chooses one or several files in the page, and resolves with the outcome that the page shows. */
  upload(path: string | string[]): Promise<string>;
  /**
   * Limits the upload, in bytes a second, so that its progress is visible: a browser reports it every 50 ms.
   */
  slowConnection(uploadThroughput: number): Promise<AsyncDisposable>;
  /** Downloads the newest file of a user and returns its bytes. */
  stored(user: string): Promise<{ filename: string; sha256: string }>;
  /** Reloads the page and returns the listed files. */
  listed(): Promise<string[]>;
}

export async function openFixture(): Promise<Fixture> {
  await using starting = new AsyncDisposableStack();
  const { path: directory } = starting.use(await temporaryDirectory());
  const { assets } = starting.use(await bundlePage());
  const token = 'only-the-gateway-knows-this';
  const settings = {
    GATEWAY_AUTH: 'token',
    GATEWAY_TOKENS: token,
    MULTIPART_PART_BYTES: String(PART_UNIT_BYTES),
  };
  const service = starting.use(
    await startTestService(settings, await openTestBucket({ corsRules: rules.CORSRules })),
  );
  const gateway = starting.use(
    await startGateway({
      certificate: await selfSigned({ names: [APP, ELSEWHERE], use: 'server' }),
      serviceUrl: service.httpUrl,
      token,
      s3Endpoint: service.bucket.endpoint,
      assets,
    }),
  );
  const { browser } = starting.use(await launchChromium([APP, ELSEWHERE], gateway.port));
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  page.setDefaultTimeout(SHOWN_TIMEOUT_MS);

  const started = starting.move();
  return {
    service,
    gateway,
    page,
    async open(user, { host = APP, path = BUNDLES.vite, options = {} } = {}) {
      const query = new URLSearchParams({ options: JSON.stringify({ ...OPTIONS, ...options }) });
      const url = new URL(path, `https://${host}`).href;
      const session = { name: 'session', value: gateway.signIn(user), url: `https://${host}` };
      await page.context().addCookies([{ ...session, httpOnly: true, secure: true, sameSite: 'Strict' }]);
      await page.goto(`${url}${url.includes('?') ? '&' : '?'}${query}`);
    },
    async file(name, bytes) {
      const path = join(directory, name);
      await writeFile(path, bytes);
      return path;
    },
    async upload(path) {
      const outcomes = page.locator('#uploads output');
      const outcome = outcomes.nth(await outcomes.count()).filter({ hasText: /./ });
      await page.locator('#choose').setInputFiles(path);
      await outcome.waitFor();
      return outcome.innerText();
    },
    async slowConnection(uploadThroughput) {
      const session = await page.context().newCDPSession(page);
      const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput };
      await session.send('Network.emulateNetworkConditions', conditions);
      return { [Symbol.asyncDispose]: () => session.detach() };
    },
    async stored(user) {
      const headers = { 'x-user-id': user, 'x-gateway-token': token };
      const client = createClient(FileService, service.transport('Connect', headers));
      const { files } = await client.listFiles({ pageSize: 1 });
      const { s3Key = '', filename = '' } = files[0] ?? {};
      const { presignedUrl } = await client.createPresignedDownload({ s3Key });
      const { body } = await fetch(presignedUrl);
      const hash = createHash('sha256');
      for await (const piece of body ?? []) hash.update(piece);
      return { filename, sha256: hash.digest('hex') };
    },
    async listed() {
      await page.reload();
      await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' });
      return page.locator('#files li span').allInnerTexts();
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
