import type { Logger } from 'pino';
import type { RefusalError } from '../files/refusal-error.ts';
import { limitLinesByKind } from './limit-lines.ts';
import type { Metrics } from './metrics.ts';

/** The least time between two log lines about the same operation, status and code. The metric counts all refusals. */
const LINE_INTERVAL_MS = 60_000;

export type Refusals = ReturnType<typeof createRefusals>;

/**
 * Records what S3 refuses: in the metrics, in the log, and in `current`, which the answer of `/readyz` contains. A
 * refusal stays in `current` until the same operation succeeds. Operations are few and codes are those of one server,
 * so the maps stay small.
 */
export function createRefusals(log: Logger, metrics: Metrics) {
  const line = limitLinesByKind(LINE_INTERVAL_MS);
  const current = new Map<string, string>();
  return {
    /** The sentences about the operations that S3 refused when they were last sent. */
    get current(): string[] {
      return [...current.values()];
    },
    succeeded(operation: string): void {
      current.delete(operation);
    },
    refused({ operation, status, code, about, message }: RefusalError): void {
      metrics.storageRefusals.inc({ operation, status, code });
      current.set(operation, message);
      const level = about === 'service' ? 'error' : 'warn';
      line(`${operation} ${status} ${code}`, (unlogged) =>
        log[level]({ operation, status, code, unlogged }, message),
      );
    },
  };
}
