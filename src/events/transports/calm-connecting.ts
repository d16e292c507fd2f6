import { experimental } from '@grpc/grpc-js';

/**
 * The least time between two connections to an address. round_robin of grpc-js connects again as soon as a connection
 * has ended, also while nothing is delivered, and grpc-js waits only after a connection that failed. A load balancer
 * without servers behind it accepts, sends its settings and closes: this took 4,800 connections a second and 90 % of a
 * CPU, for as long as the consumer was away.
 */
const CONNECT_INTERVAL_MS = 100;

/** The load balancing of the gRPC transport: round_robin, with a pause between two connections to an address. */
export const CALM_ROUND_ROBIN = 'calm_round_robin';

/** When the last connection to each address began, by `performance.now()`. */
type LastConnections = Map<string, number>;

class CalmSubchannel extends experimental.BaseSubchannelWrapper {
  readonly #last: LastConnections;
  #timer: NodeJS.Timeout | undefined;

  constructor(child: experimental.SubchannelInterface, last: LastConnections) {
    super(child);
    this.#last = last;
  }

  override startConnecting(): void {
    clearTimeout(this.#timer);
    const nextMs = (this.#last.get(this.getAddress()) ?? Number.NEGATIVE_INFINITY) + CONNECT_INTERVAL_MS;
    const pauseMs = nextMs - performance.now();
    if (pauseMs <= 0) this.#connect();
    else this.#timer = setTimeout(() => this.#connect(), pauseMs).unref();
  }

  #connect(): void {
    this.#last.set(this.getAddress(), performance.now());
    this.child.startConnecting();
  }

  /** Called when the channel does not use this object any more. */
  protected override destroy(): void {
    clearTimeout(this.#timer);
    super.destroy();
  }
}

class CalmRoundRobin extends experimental.ChildLoadBalancerHandler {
  readonly #last: LastConnections;

  constructor(helper: experimental.ChannelControlHelper) {
    // round_robin makes new subchannels whenever the name was resolved again, so they share this map.
    const last: LastConnections = new Map();
    const createSubchannel: typeof helper.createSubchannel = (...address) =>
      new CalmSubchannel(helper.createSubchannel(...address), last);
    super(experimental.createChildChannelControlHelper(helper, { createSubchannel }));
    this.#last = last;
  }

  override updateAddressList(...params: Parameters<experimental.LoadBalancer['updateAddressList']>): boolean {
    const [addresses, , ...rest] = params;
    this.#forgetOld();
    return super.updateAddressList(addresses, ROUND_ROBIN, ...rest);
  }

  /** The addresses of a name may change without end. */
  #forgetOld(): void {
    const oldMs = performance.now() - CONNECT_INTERVAL_MS;
    for (const [address, lastMs] of this.#last) if (lastMs < oldMs) this.#last.delete(address);
  }

  override getTypeName(): string {
    return CALM_ROUND_ROBIN;
  }
}

/** The configuration of CalmRoundRobin. It has no settings. */
class CalmRoundRobinConfig implements experimental.TypedLoadBalancingConfig {
  getLoadBalancerName(): string {
    return CALM_ROUND_ROBIN;
  }

  toJsonObject(): object {
    return { [CALM_ROUND_ROBIN]: {} };
  }

  static createFromJson(): CalmRoundRobinConfig {
    return new CalmRoundRobinConfig();
  }
}

const ROUND_ROBIN = experimental.parseLoadBalancingConfig({ round_robin: {} });
experimental.registerLoadBalancerType(CALM_ROUND_ROBIN, CalmRoundRobin, CalmRoundRobinConfig);
