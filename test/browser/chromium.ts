/** Starts the Chromium of this machine. playwright-core controls the browser, but contains no browser. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Browser, chromium } from 'playwright-core';
import { processesOf, stillRunning } from '../harness/processes.ts';
import { run } from '../interop/command.ts';
import type { Missing } from '../interop/toolchain.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** How long Chromium's dozen processes may take to end. */
const GONE_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

export async function missingChromium(): Promise<Missing> {
  return (await chromiumPath()) === undefined ? `there is no ${NAMES.join(' or ')} on the PATH` : undefined;
}

async function chromiumPath(): Promise<string | undefined> {
  for (const name of NAMES) {
    const { code, stdout } = await run('sh', ['-c', `command -v ${name}`]);
    if (code === 0) return stdout.trim();
  }
  return undefined;
}

interface LaunchedBrowser extends AsyncDisposable {
  readonly browser: Browser;
}

/**
 * Starts Chromium without a window and without a network: `hosts` resolve to a port of loopback, and no other host
 * resolves.
 *
 * The disposal throws when a process of Chromium does not end.
 */
export async function launchChromium(hosts: readonly string[], port: number): Promise<LaunchedBrowser> {
  const rules = [...hosts.map((host) => `MAP ${host}:443 127.0.0.1:${port}`), 'MAP * ~NOTFOUND'];
  const before = new Set(await processesOf(process.pid));
  const executablePath = await chromiumPath();
  const browser = await chromium.launch({
    ...(executablePath !== undefined && { executablePath }),
    args: [`--host-resolver-rules=${[...rules, 'EXCLUDE 127.0.0.1'].join(', ')}`],
  });
  return {
    browser,
    async [Symbol.asyncDispose]() {
      const ours = (await processesOf(process.pid)).filter((pid) => !before.has(pid));
      await browser.close();
      const deadline = Date.now() + GONE_TIMEOUT_MS;
      for (let rest = ours; rest.length > 0; rest = await stillRunning(rest)) {
        if (Date.now() > deadline) throw new Error(`still running: ${rest.join(', ')}`);
        await sleep(POLL_MS);
      }
    },
  };
}
