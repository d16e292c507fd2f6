/**
 * The servers of one database: a single server, or a primary with its standbys. A new connection goes to the
 * server that took the last connection. If that server refuses the connection or takes no writes, the pool
 * tries the next server.
 */
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { createPoolSize, type PoolSize } from './pool-size.ts';
import { ReadOnlyServerError } from './session-settings.ts';

export interface ServerAddress {
  /** One URL for each server, as `pg` understands them. All servers have the same users and databases. */
  urls: readonly string[];
  /**
   * The path of a file with the password. The file is read for each connection, so the password may be
   * replaced at any time. Default: the password of the URL.
   */
  passwordFile?: string | undefined;
}

interface ServerPoolOptions extends ServerAddress {
  /** Prepares a new connection. If it throws, the connection is closed. */
  prepare: (client: pg.ClientBase) => Promise<void>;
}

type PoolConfig = Omit<pg.PoolConfig, 'connectionString'> & { connectionTimeoutMillis: number };
type OnClient = Parameters<typeof pg.Pool.prototype.connect>[0];

/**
 * A pool that finds the server which works. If a new connection fails for a reason that no other server would change,
 * the call of that connection waits for a connection that is already open. If none is open, the call fails.
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
        // Several connections to one server may fail at once. Only the first failure moves on, because each
        // further step would skip a server.
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
          // The servers share the time for a connection. A server that does not answer must not use up the
          // time for the others.
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
        // `onFailure` (`pool-size.ts`) has limited the pool to its open connections, so this call waits for
        // one of them.
        this.#connect(onClient, triesLeft, waitUntil);
      } else onClient(error, client, release);
    });
  }

  /**
   * Whether another server may work after this error. A wrong password, for example, is wrong on every server.
   */
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
    // The password is set here and not in `config`. In `config`, `pg` would replace it by the password of the
    // URL, even if the URL has none.
    if (passwordFile !== undefined) Object.assign(this, { password: () => readPassword(passwordFile) });
    // Node ends the process if an error event has no listener. This listener does nothing, because the pool
    // reports errors of idle connections, and a statement reports errors of its own connection.
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

/** The error code that a server sends while it is starting, stopping or recovering. */
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
