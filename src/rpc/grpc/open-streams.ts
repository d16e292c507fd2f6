import {
  Server,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { OPEN_STREAM_LIFE_MS, OPEN_STREAMS_MAX, OPEN_STREAMS_PER_CONNECTION_MAX } from '../limits/limits.ts';

/**
 * A `Server` that limits its open streams and can end them. A health `Watch` is open for as long as its client likes:
 * 80,000 of them took the process to the end of its heap, and `tryShutdown` waits for them, so that with one watching
 * load balancer a stop took all of its grace.
 */
export class StreamEndingServer extends Server {
  /** In the order in which they were opened, and how each is forgotten. */
  readonly #open = new Map<Stream, () => void>();
  readonly #openOf = new Map<string, number>();

  override addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    const streams = new Set<string | undefined>();
    for (const [name, { responseStream, originalName }] of Object.entries(service)) {
      // A handler goes by either name.
      if (responseStream) streams.add(name).add(originalName);
    }
    const handlers = Object.entries(implementation).map(([name, handle]) => [
      name,
      streams.has(name) ? this.#limited(handle as Handle) : handle,
    ]);
    super.addService(service, Object.fromEntries(handlers));
  }

  /** Tells every client that it may call another instance. What has been written before arrives. */
  endStreams(): void {
    for (const stream of this.#open.keys()) end(stream, 'the service is stopping');
  }

  #limited(handle: Handle): UntypedHandleCall {
    return (stream: Stream) => {
      const connection = stream.getPeer();
      const own = (this.#openOf.get(connection) ?? 0) + 1;
      if (own > OPEN_STREAMS_PER_CONNECTION_MAX) {
        const details = `a connection may have ${OPEN_STREAMS_PER_CONNECTION_MAX} open streams`;
        stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details });
        return;
      }
      const lifeMs = OPEN_STREAM_LIFE_MS * (0.9 + 0.2 * Math.random());
      const timer = setTimeout(() => end(stream, 'the stream has reached its age; open another'), lifeMs);
      this.#openOf.set(connection, own);
      const forget = () => {
        if (!this.#open.delete(stream)) return;
        clearTimeout(timer);
        const others = (this.#openOf.get(connection) ?? 0) - 1;
        if (others > 0) this.#openOf.set(connection, others);
        else this.#openOf.delete(connection);
      };
      this.#open.set(stream, forget);
      // The one when it was answered, the other when its client or the connection has gone.
      for (const event of ['close', 'cancelled']) stream.once(event, forget);
      if (this.#open.size > OPEN_STREAMS_MAX) {
        const [oldest, forgetOldest] = this.#open.entries().next().value ?? [stream, forget];
        forgetOldest();
        end(oldest, 'too many streams are open; open another');
      }
      handle(stream);
    };
  }
}

function end(stream: Stream, details: string): void {
  stream.emit('error', { code: status.UNAVAILABLE, details });
}

type Handle = (stream: Stream) => void;

/** What server streams and bidirectional ones have in common, as far as it matters here. */
interface Stream {
  /** The address and port of the client. */
  getPeer(): string;
  emit(event: 'error', error: { code: status; details: string }): boolean;
  once(event: string, listener: () => void): unknown;
}
