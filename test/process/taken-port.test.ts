import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test, vi } from 'vitest';
import { launchService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

/** Real starts, each with an initdb: seconds on an idle machine, more on a busy one. */
vi.setConfig({ testTimeout: 120_000 });

test.concurrent.for(['GRPC_PORT', 'HTTP_PORT'])(
  'a taken port is named together with %s, and nothing stays',
  async (variable, { expect }) => {
    await using directory = await temporaryDirectory();
    await using owner = createServer().listen(0, '127.0.0.1');
    await once(owner, 'listening');
    const { port } = owner.address() as AddressInfo;
    await using service = launchService({
      environment: { DATA_DIR: join(directory.path, 'data'), [variable]: String(port) },
    });

    expect(await service.untilGone()).toEqual({ code: 1, signal: null });
    expect(service.printed.stderr).toMatch(
      `cannot listen on port ${port} of 127.0.0.1 (set ${variable} or HOST): `,
    );
    expect(service.printed.stderr).toContain('EADDRINUSE');
    expect(service.printed.stderr, 'no stack').not.toContain('    at ');
  },
);
