import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ConsumerHealth, createConsumerHealth } from '../../src/events/consumer-health.ts';
import { DELIVERIES_MAX, type Delivery, type Outcome } from '../../src/events/transports/transport.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function fail(health: ConsumerHealth, events: number, outcome: Outcome = 'unreachable', first = 0): void {
  for (let n = first; n < first + events; n++) health.onFailure(`event ${n}`, { outcome, reason: 'a test' });
}

/** The health of a consumer that has taken many events. */
function grownHealth(): ConsumerHealth {
  const health = createConsumerHealth(() => undefined);
  for (let n = 0; n < 1_000; n++) health.onDelivered();
  return health;
}

function openedHealth(outcome: Outcome = 'unreachable') {
  const lines: (Delivery | undefined)[] = [];
  const health = createConsumerHealth((failure) => lines.push(failure));
  fail(health, 10, outcome);
  return { health, lines };
}

describe('the breaker', () => {
  it('opens when ten different events failed in a row', () => {
    const health = createConsumerHealth(() => undefined);
    fail(health, 9);
    expect([health.isOpen, health.deliveriesMax]).toEqual([false, 4]);
    fail(health, 1, 'unreachable', 9);
    expect([health.isOpen, health.deliveriesMax]).toEqual([true, 0]);
  });

  it('does not open for failures of one event, or if another event was delivered in between', () => {
    const health = createConsumerHealth(() => undefined);
    for (let n = 0; n < 100; n++) fail(health, 1);
    expect(health.isOpen).toBe(false);
    health.onDelivered();
    fail(health, 9);
    health.onDelivered();
    fail(health, 9);
    expect(health.isOpen).toBe(false);
  });

  it('closes with the first event that is delivered, and then lets few events through at once', () => {
    const { health } = openedHealth();
    health.onDelivered();
    expect([health.isOpen, health.isOutage, health.deliveriesMax]).toEqual([false, false, 4]);
    for (let n = 0; n < 600; n++) health.onDelivered();
    expect(health.deliveriesMax).toBe(DELIVERIES_MAX);
  });

  it('sends a probe after a second at first, and after ten seconds at most', () => {
    const { health } = openedHealth();
    const pauses: number[] = [];
    for (let n = 0; n < 6; n++) {
      pauses.push(health.nextProbeMs - performance.now());
      vi.advanceTimersByTime(Math.ceil(health.nextProbeMs - performance.now()));
      fail(health, 1, 'unreachable', 100 + n);
    }
    for (const [n, most] of [1_000, 2_000, 4_000, 8_000, 10_000, 10_000].entries()) {
      expect(pauses[n]).toBeLessThanOrEqual(most);
      expect(pauses[n]).toBeGreaterThanOrEqual(most * 0.75);
    }
  });

  it('sends a probe each second to a consumer that refuses events, because it may take others', () => {
    const { health } = openedHealth('refused');
    for (let n = 0; n < 10; n++) {
      expect(health.nextProbeMs - performance.now()).toBeLessThanOrEqual(1_000);
      vi.advanceTimersByTime(1_000);
      fail(health, 1, 'refused', 100 + n);
    }
  });

  it('takes no longer pause from deliveries that began before it opened', () => {
    const { health } = openedHealth();
    fail(health, DELIVERIES_MAX, 'unreachable', 10);
    expect(health.nextProbeMs - performance.now()).toBeLessThanOrEqual(1_000);
  });
});

describe('the number of deliveries at once', () => {
  it('begins with few, and grows by one when as many have succeeded', () => {
    const health = createConsumerHealth(() => undefined);
    const numbers = Array.from({ length: 12 }, () => {
      health.onDelivered();
      return health.deliveriesMax;
    });
    expect(numbers).toEqual([4, 4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6]);
  });

  it('is halved by a time-out, but once in five seconds', () => {
    const health = grownHealth();
    fail(health, 5, 'unanswered');
    expect(health.deliveriesMax).toBe(DELIVERIES_MAX / 2);
    vi.advanceTimersByTime(5_000);
    fail(health, 1, 'unanswered');
    expect(health.deliveriesMax).toBe(DELIVERIES_MAX / 4);
    for (let n = 0; n < 10; n++) {
      vi.advanceTimersByTime(5_000);
      fail(health, 1, 'unanswered');
    }
    expect(health.deliveriesMax).toBe(1);
  });

  it('is not changed by answers that refuse single events', () => {
    const health = grownHealth();
    fail(health, 5, 'refused');
    expect(health.deliveriesMax).toBe(DELIVERIES_MAX);
  });
});

it('an outage begins with the third failure in a row and ends with the first success, each reported once', () => {
  const { health, lines } = openedHealth('unanswered');
  fail(health, 20, 'unanswered', 10);
  expect(lines).toEqual([{ outcome: 'unanswered', reason: 'a test' }]);
  expect(health.isOutage).toBe(true);
  health.onDelivered();
  health.onDelivered();
  expect(lines.slice(1)).toEqual([undefined]);
  fail(health, 2);
  expect([health.isOutage, lines.length]).toEqual([false, 2]);
});
