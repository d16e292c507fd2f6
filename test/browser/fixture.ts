/**
 * A browser with the page behind its gateway, the service, and a bucket with the CORS rules of the README.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openTestBucket } from '../harness/bucket.ts';
import { selfSigned } from '../harness/certificates.ts';
import { startTestService, type TestService } from '../harness/service.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { launchChromium } from './chromium.ts';
import rules from './cors.json' with { type: 'json' };
import { type Gateway, startGateway } from './gateway.ts';

/** APP is the host that the CORS rules name; ELSEWHERE is not named. The gateway serves the page at both. */
export const APP = 'app.example.com';
export const ELSEWHERE = 'elsewhere.example.com';

/** S3's minimum for a part, so that several parts need few bytes. */
export const PART_UNIT_BYTES = 5 * 1024 ** 2;

/** Enough for a whole upload and the list after it on a busy machine. */
const SHOWN_TIMEOUT_MS = 15_000;

export interface Fixture extends AsyncDisposable {
  readonly service: TestService;
  readonly gateway: Gateway;
  readonly page: Page;
  /** Signs the user in and opens the page. */
  open(user: string, host?: string): Promise<void>;
  /** Writes a file to the disk and returns its path. */
  file(name: string, bytes: string | Buffer): Promise<string>;
  /** Chooses the file in the page, and resolves with the outcome that the page shows. */
  upload(path: string): Promise<string>;
  /** Reloads the page and returns the listed files. */
  listed(): Promise<string[]>;
}

export async function openFixture(): Promise<Fixture> {
  await using starting = new AsyncDisposableStack();
  const { path: directory } = starting.use(await temporaryDirectory());
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
    async open(user, host = APP) {
      const url = `https://${host}/?partUnitBytes=${PART_UNIT_BYTES}`;
      const session = { name: 'session', value: gateway.signIn(user), url };
      await page.context().addCookies([{ ...session, httpOnly: true, secure: true, sameSite: 'Strict' }]);
      await page.goto(url);
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
    async listed() {
      await page.reload();
      await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' });
      return page.locator('#files li span').allInnerTexts();
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
