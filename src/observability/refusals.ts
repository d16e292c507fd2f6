import type { Logger } from 'pino';
import type { RefusalError } from '../files/refusal-error.ts';
import { limitLinesByKind } from './limit-lines.ts';
import type { Metrics } from './metrics.ts';

/** The least time between two log lines about the same operation, status and code. The metric counts all refusals. */
const LINE_INTERVAL_MS = 60_000;

export type Refusals = ReturnType<typeof createRefusals>;

/**
 * After this time, a refusal that has not been repeated is no longer in `current`. An operation that nothing sends
 * cannot succeed, so its refusal would stay there after an operator has removed the reason.
 */
const CURRENT_MS = 600_000;

/**
 * Records what S3 refuses: in the metrics, in the log, and in `current`, which the answer of `/readyz` contains. A
 * refusal leaves `current` when a success disproves it, or after CURRENT_MS. Operations are few, so the map stays small.
 */
export function createRefusals(log: Logger, metrics: Metrics) {
  const line = limitLinesByKind(LINE_INTERVAL_MS);
  const last = new Map<string, { refusal: RefusalError; untilMs: number }>();
  return {
    /** The sentences about the operations that S3 refused when they were last sent, and that it may refuse now. */
    get current(): string[] {
      const nowMs = Date.now();
      return [...last.values()]
        .filter(({ untilMs }) => nowMs < untilMs)
        .map(({ refusal }) => refusal.message);
    },
    succeeded(succeeded: string): void {
      for (const [operation, { refusal }] of last) {
        if (operation === succeeded || refusal.about === 'service') last.delete(operation);
      }
    },
    refused(refusal: RefusalError): void {
      const { operation, status, code, about, message } = refusal;
      metrics.storageRefusals.inc({ operation, status, code });
      last.set(operation, { refusal, untilMs: Date.now() + CURRENT_MS });
      const level = about === 'object' ? 'warn' : 'error';
      line(`${operation} ${status} ${code}`, (unlogged) =>
        log[level]({ operation, status, code, unlogged }, message),
      );
    },
  };
}
