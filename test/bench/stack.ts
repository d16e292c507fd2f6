import { join } from 'node:path';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pg from 'pg';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { NODE_OPTIONS, type ServiceProcess, startService } from '../harness/service-process.ts';
import { cpuMicroseconds } from './cpu.ts';
import type { StackEnvironment } from './servers.ts';

/** One implementation of the calls, in a process of its own, with a database of its own. */
export interface Stack extends AsyncDisposable {
  name: string;
  service: ServiceProcess;
  database: pg.Pool;
  client(user: string): Client<typeof FileService>;
  /** The CPU time that the Postgres backends of its database have used so far. */
  postgresMicroseconds(): Promise<number>;
}

/** @param program a file in test/bench/stacks; unset: the service itself, started as users start it */
export async function startStack(
  name: string,
  environment: StackEnvironment,
  program?: string,
): Promise<Stack> {
  // `minimal` differs from the service only in its code, so it gets the same options. A conventional service
  // has none.
  const options = name === 'conventional' ? [] : NODE_OPTIONS;
  const service = await startService({
    environment: { ...environment, MAX_PENDING_UPLOADS: '30000' },
    ...(program && { command: [process.execPath, ...options, join(import.meta.dirname, 'stacks', program)] }),
  });
  const database = new pg.Pool({ connectionString: environment.DATABASE_URL, max: 1 });
  return {
    name,
    service,
    database,
    client: (user) =>
      createClient(
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
      ),
    async postgresMicroseconds() {
      const { rows } = await database.query<{ pid: number }>(
        'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
      const times = await Promise.all(rows.map(({ pid }) => cpuMicroseconds(pid)));
      return times.reduce((sum, time) => sum + time, 0);
    },
    async [Symbol.asyncDispose]() {
      await database.end();
      await service[Symbol.asyncDispose]();
    },
  };
}
