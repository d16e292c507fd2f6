/**
 * The servers of one database: a single server, or a primary with its standbys. New connections go to the
 * server that took the last one. If it refuses a connection or takes no writes, the next server is tried.
 */
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { createPoolSize, type PoolSize } from './pool-size.ts';
import { ReadOnlyServerError } from './session-settings.ts';

export interface ServerAddress {
  /** One URL for each server, as `pg` understands them. All servers have the same users and databases. */
  urls: readonly string[];
  /**
   * A file with the password. It is read for each connection, so the password may be replaced at any time.
   * Default: the password of the URL.
   */
  passwordFile?: string | undefined;
}

export interface ServerPoolOptions extends ServerAddress {
  /** Prepares a new connection. If it throws, the connection is closed. */
  prepare: (client: pg.ClientBase) => Promise<void>;
}

type PoolConfig = Omit<pg.PoolConfig, 'connectionString'> & { connectionTimeoutMillis: number };
type OnClient = Parameters<typeof pg.Pool.prototype.connect>[0];

/**
 * A pool that finds the server which works. If a new connection fails for another reason, its call waits for an
 * open connection.
 */
export class ServerPool extends pg.Pool {
  readonly #serverCount: number;
  readonly #connectErrors: WeakSet<Error>;
  readonly #size: PoolSize;

  constructor({ urls, passwordFile, prepare }: ServerPoolOptions, config: PoolConfig) {
    let current = 0;
    const open = async (used: number, connect: () => Promise<pg.Client>) => {
      this.#size.onBegin();
      try {
        return await connect();
      } catch (error) {
        this.#connectErrors.add(error as Error);
        if (!this.#isOfOneServer(error as Error)) this.#size.onFailure();
        // Several connections may fail at once, and must not skip a server.
        else if (current === used) current = (current + 1) % urls.length;
        throw error;
      } finally {
        this.#size.onEnd();
      }
    };
    super({
      ...config,
      Client: class extends ServerClient {
        constructor() {
          const used = current;
          // A server that does not answer must not use up the time for the others.
          const connectionTimeoutMillis = config.connectionTimeoutMillis / urls.length;
          super({ ...config, connectionString: urls[used], connectionTimeoutMillis }, passwordFile, prepare);
          this.open = (connect) => open(used, connect);
        }
      },
    });
    this.#serverCount = urls.length;
    this.#connectErrors = new WeakSet();
    this.#size = createPoolSize(this, () => super.connect((_, client) => client?.release()));
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(onClient: OnClient): void;
  override connect(onClient?: OnClient): Promise<pg.PoolClient> | undefined {
    if (onClient === undefined) {
      return new Promise((resolve, reject) => {
        this.connect((error, client) => (client === undefined ? reject(error) : resolve(client)));
      });
    }
    this.#connect(onClient, this.#serverCount, Date.now() + (this.options.connectionTimeoutMillis ?? 0));
    return undefined;
  }

  #connect(onClient: OnClient, triesLeft: number, waitUntil: number): void {
    super.connect((error, client, release) => {
      const failed = error !== undefined && this.#connectErrors.has(error) && !this.ending;
      const another = failed && this.#isOfOneServer(error);
      if (another && triesLeft > 1) this.#connect(onClient, triesLeft - 1, waitUntil);
      else if (failed && !another && this.#size.open > 0 && Date.now() < waitUntil) {
        // The pool is full now, so the call waits for an open connection.
        this.#connect(onClient, triesLeft, waitUntil);
      } else onClient(error, client, release);
    });
  }

  /** Whether another server may work. A wrong password, for example, is wrong on each of them. */
  #isOfOneServer(error: Error): boolean {
    if (this.#serverCount === 1 || error instanceof PasswordFileError) return false;
    if (error instanceof ReadOnlyServerError) return true;
    return !(error instanceof pg.DatabaseError) || error.code === CANNOT_CONNECT_NOW;
  }
}

class ServerClient extends pg.Client {
  protected open = (connect: () => Promise<pg.Client>) => connect();
  readonly #prepare: ServerPoolOptions['prepare'];

  constructor(
    config: pg.ClientConfig,
    passwordFile: string | undefined,
    prepare: ServerPoolOptions['prepare'],
  ) {
    super(config);
    this.#prepare = prepare;
    // Set here and not in `config`, where the URL would replace it, also if the URL has no password.
    if (passwordFile !== undefined) Object.assign(this, { password: () => readPassword(passwordFile) });
    // An error without a listener ends the process. The pool reports errors of idle connections. A statement
    // reports errors of connections in use.
    this.on('error', () => undefined);
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: ((error: Error) => void) | ((error: null, client: pg.Client) => void)): void;
  override connect(callback?: unknown): Promise<pg.Client> | undefined {
    const connected = this.open(() => this.#connect());
    if (callback === undefined) return connected;
    const call = callback as (error: Error | null, client?: pg.Client) => void;
    connected.then(
      (client) => call(null, client),
      (error: Error) => call(error),
    );
    return undefined;
  }

  async #connect(): Promise<pg.Client> {
    try {
      await super.connect();
      await this.#prepare(this);
      return this;
    } catch (error) {
      void this.end().catch(() => undefined);
      throw error;
    }
  }
}

/** Postgres is starting, stopping or recovering. */
const CANNOT_CONNECT_NOW = '57P03';

/** The file of the password cannot be read. */
export class PasswordFileError extends Error {
  override readonly name = 'PasswordFileError';
}

async function readPassword(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw new PasswordFileError((error as Error).message, { cause: error });
  }
}
