import { type Client, Code, ConnectError } from '@connectrpc/connect';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import type { ServiceProcess } from '../harness/service-process.ts';
import type { Deed } from './crash-consumer.ts';
import type { CrashFixture } from './crash-fixture.ts';

/** A content under a key, and what its client did with it. */
interface LoadedFile {
  key: string;
  md5: string;
  deeds: Set<Deed>;
  /** How many deletes were sent, and how many were answered with OK. */
  deletesSent: number;
  deletes: number;
}

/** Shared by all clients: the service process that runs now, if any, and counts of the answers. */
export class Load {
  readonly fixture: CrashFixture;
  readonly wrong: string[] = [];
  calls = 0;
  underWay = 0;
  uploads = 0;
  deletes = 0;
  existing = 0;
  batches = 0;
  lists = 0;
  parts = 0;
  completes = 0;
  over = false;
  readonly #files = new Map<string, LoadedFile>();
  #service: ServiceProcess | undefined;
  #next = Promise.withResolvers<void>();

  constructor(fixture: CrashFixture) {
    this.fixture = fixture;
  }

  /** @param md5 empty for a multipart upload */
  file(key: string, md5: string): LoadedFile {
    const id = `${key} ${md5}`;
    const file = this.#files.get(id) ?? { key, md5, deeds: new Set(), deletesSent: 0, deletes: 0 };
    this.#files.set(id, file);
    return file;
  }

  files(): LoadedFile[] {
    return [...this.#files.values()];
  }

  async delete(files: FileClient, key: string, md5: string): Promise<void> {
    const file = this.file(key, md5);
    file.deeds.add('deleted');
    file.deletesSent++;
    await files.deleteFile({ s3Key: key });
    file.deletes++;
    this.deletes++;
  }

  serve(service: ServiceProcess): void {
    this.#service = service;
    this.#turn();
  }

  end(): void {
    this.over = true;
    this.#turn();
  }

  claim(holds: boolean, user: string, what: string): void {
    if (!holds) this.wrong.push(`${user}: ${what}`);
  }

  client(user: string): FileClient | undefined {
    return this.#service?.client({ 'x-user-id': user });
  }

  /** Resolves when another process serves, or when the load ends. */
  nextLife(): Promise<void> {
    return this.#next.promise;
  }

  #turn(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }
}

export type FileClient = Client<typeof FileService>;

/** Sends one call after the other until the load ends. */
export async function keepCalling(
  load: Load,
  user: string,
  call: (files: FileClient) => Promise<void>,
): Promise<void> {
  await load.nextLife();
  let files = load.client(user);
  while (!load.over && files !== undefined) {
    const life = load.nextLife();
    load.calls++;
    load.underWay++;
    const heard = await hears(load, user, () => call(files as FileClient));
    load.underWay--;
    if (heard) continue;
    // A request may still be carried out until the process that received it has ended.
    await life;
    files = load.client(user);
  }
}

/** @returns whether the call was answered */
async function hears(load: Load, user: string, call: () => Promise<void>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const { code } = error;
    load.claim(!REFUSALS.has(code), user, `refused with ${Code[code]}: ${error.rawMessage}`);
    return false;
  }
}

/**
 * Errors that no call of the load may get. All other errors come from a process that was killed or had no
 * time.
 */
const REFUSALS = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.Unauthenticated,
  Code.Unimplemented,
]);

export function oneOf<Thing>(things: readonly Thing[]): Thing {
  const thing = things[Math.floor(Math.random() * things.length)];
  if (thing === undefined) throw new Error('the list is empty');
  return thing;
}
