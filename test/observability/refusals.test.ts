import { expect, it, onTestFinished, vi } from 'vitest';
import { type Refusal, RefusalError } from '../../src/files/refusal-error.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createRefusals } from '../../src/observability/refusals.ts';
import { captureLog } from './captured-log.ts';

const refusals = () => createRefusals(captureLog('info').log, createMetrics());
const refusal = (operation: string, about: Refusal['about']) =>
  new RefusalError(`${operation} is refused`, { operation, status: 403, code: 'Code', about });

it('a success of any operation ends the refusals that would concern every request', () => {
  const { refused, succeeded, ...all } = listed();
  refused(refusal('HeadObject', 'service'));
  refused(refusal('CreateMultipartUpload', 'service'));
  succeeded('HeadBucket');
  expect(all.current()).toEqual([]);
});

it('the refusal of one operation or object stays until that operation succeeds', () => {
  const { refused, succeeded, ...all } = listed();
  refused(refusal('DeleteObject', 'operation'));
  refused(refusal('HeadObject', 'object'));
  succeeded('HeadBucket');
  expect(all.current()).toEqual(['DeleteObject is refused', 'HeadObject is refused']);
  succeeded('DeleteObject');
  expect(all.current()).toEqual(['HeadObject is refused']);
});

it('a refusal that is not repeated for 10 minutes is no longer told', () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const { refused, ...all } = listed();
  refused(refusal('DeleteObject', 'operation'));
  vi.advanceTimersByTime(599_000);
  expect(all.current()).toHaveLength(1);
  refused(refusal('DeleteObject', 'operation'));
  vi.advanceTimersByTime(599_000);
  expect(all.current()).toHaveLength(1);
  vi.advanceTimersByTime(1_000);
  expect(all.current()).toEqual([]);
});

function listed() {
  const created = refusals();
  return { refused: created.refused, succeeded: created.succeeded, current: () => created.current };
}
