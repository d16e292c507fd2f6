import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test, vi } from 'vitest';
import { dataDirectory } from '../harness/data-directory.ts';
import { launchService } from '../harness/service-process.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

test.concurrent.for(['GRPC_PORT', 'HTTP_PORT'])(
  'the start names a taken port and %s, and leaves no process',
  async (variable, { expect }) => {
    await using directory = await dataDirectory();
    await using owner = createServer().listen(0, '127.0.0.1');
    await once(owner, 'listening');
    const { port } = owner.address() as AddressInfo;
    await using service = launchService({
      environment: { DATA_DIR: directory.path, [variable]: String(port) },
    });

    expect(await service.untilGone()).toEqual({ code: 1, signal: null });
    expect(service.printed.stderr).toMatch(
      `cannot listen on port ${port} of 127.0.0.1 (set ${variable} or HOST): `,
    );
    expect(service.printed.stderr).toContain('EADDRINUSE');
    expect(service.printed.stderr, 'no stack').not.toContain('    at ');
  },
);
