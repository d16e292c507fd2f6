import {
  Server,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

/**
 * A `Server` that can end its open streams. A health `Watch` and a reflection
 * stream are open for as long as their client likes, and `tryShutdown` waits
 * for them: with one watching load balancer a stop took all of its grace.
 */
export class StreamEndingServer extends Server {
  readonly #open = new Set<Stream>();

  override addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    const streams = new Set<string | undefined>();
    for (const [name, { responseStream, originalName }] of Object.entries(service)) {
      // A handler goes by either name.
      if (responseStream) streams.add(name).add(originalName);
    }
    const handlers = Object.entries(implementation).map(([name, handle]) => [
      name,
      streams.has(name) ? this.#noting(handle as Handle) : handle,
    ]);
    super.addService(service, Object.fromEntries(handlers));
  }

  /** Tells every client that it may call another instance. What has been written before arrives. */
  endStreams(): void {
    for (const stream of this.#open) {
      stream.emit('error', { code: status.UNAVAILABLE, details: 'the service is stopping' });
    }
  }

  #noting(handle: Handle): UntypedHandleCall {
    return (stream: Stream) => {
      this.#open.add(stream);
      // The one when it was answered, the other when its client or the connection has gone.
      for (const event of ['close', 'cancelled']) stream.once(event, () => this.#open.delete(stream));
      handle(stream);
    };
  }
}

type Handle = (stream: Stream) => void;

/** What server streams and bidirectional ones have in common, as far as it matters here. */
interface Stream {
  emit(event: 'error', error: { code: status; details: string }): boolean;
  once(event: string, listener: () => void): unknown;
}
