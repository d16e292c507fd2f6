import {
  Server,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { OPEN_STREAM_LIFE_MS, OPEN_STREAMS_MAX } from '../limits/limits.ts';

/**
 * A `Server` that limits its open streams and can end them. A client may keep a health `Watch` open without
 * end: 80,000 watches exhausted the heap of the process. `tryShutdown` of grpc-js waits for open streams. So
 * a single load balancer with an open `Watch` made every stop of the service last the whole grace period.
 */
export class StreamEndingServer extends Server {
  /** The open streams in the order of their opening, each with the timer of its maximum age. */
  readonly #open = new Map<Stream, NodeJS.Timeout>();

  override addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    const streams = new Set<string | undefined>();
    for (const [name, { responseStream, originalName }] of Object.entries(service)) {
      // `implementation` may name the handler by `name` or by `originalName`.
      if (responseStream) streams.add(name).add(originalName);
    }
    const handlers = Object.entries(implementation).map(([name, handle]) => [
      name,
      streams.has(name) ? this.#limited(handle as Handle) : handle,
    ]);
    super.addService(service, Object.fromEntries(handlers));
  }

  /**
   * Ends every stream with UNAVAILABLE, so that clients call another instance. Messages that the service
   * sent before the end still arrive.
   */
  endStreams(): void {
    for (const stream of this.#open.keys()) end(stream, 'the service is stopping');
  }

  #limited(handle: Handle): UntypedHandleCall {
    return (stream: Stream) => {
      const lifeMs = OPEN_STREAM_LIFE_MS * (0.9 + 0.2 * Math.random());
      const timer = setTimeout(
        () => end(stream, 'the stream has reached its maximum age; open another stream'),
        lifeMs,
      );
      this.#open.set(stream, timer);
      // `close` follows a complete answer; `cancelled` follows a client that cancels or disconnects.
      for (const event of ['close', 'cancelled']) stream.once(event, () => this.#forget(stream));
      if (this.#open.size > OPEN_STREAMS_MAX) {
        const [oldest = stream] = this.#open.keys();
        this.#forget(oldest);
        end(oldest, 'the server has too many open streams, so the oldest was ended; open another stream');
      }
      handle(stream);
    };
  }

  #forget(stream: Stream): void {
    clearTimeout(this.#open.get(stream));
    this.#open.delete(stream);
  }
}

function end(stream: Stream, details: string): void {
  stream.emit('error', { code: status.UNAVAILABLE, details });
}

type Handle = (stream: Stream) => void;

/** The members of server streams and bidirectional streams that this file uses. */
interface Stream {
  emit(event: 'error', error: { code: status; details: string }): boolean;
  once(event: string, listener: () => void): unknown;
}
