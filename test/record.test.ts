import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { recordCall } from '../src/record.ts';
import type { CallOutcome } from '../src/rpc/call-gate.ts';
import { createLogger, createMetrics } from '../src/telemetry.ts';

const CALL: CallOutcome = {
  method: 'ListFiles',
  code: 'OK',
  reason: '',
  seconds: 0.002,
  userId: 'u',
  fault: undefined,
};

/** The log's lines at the default level. */
function logged(call: Partial<CallOutcome>): Record<string, unknown>[] {
  let text = '';
  const sink = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  recordCall(createLogger('info', sink), createMetrics())({ ...CALL, ...call });
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

it.each<[string, Partial<CallOutcome>]>([
  ['a call that went well', {}],
  ['a caller’s own fault', { code: 'INVALID_ARGUMENT', reason: 'INVALID_MD5' }],
  ['a caller’s own impatience', { code: 'DEADLINE_EXCEEDED', fault: new Error('deadline') }],
])('%s is not worth a line', (_, call) => {
  expect(logged(call)).toEqual([]);
});

it.each<[string, Partial<CallOutcome>, object]>([
  ['a slow call', { seconds: 1.5 }, { level: 40, msg: 'slow call', method: 'ListFiles', userId: 'u' }],
  ['a deadline of ours', { seconds: 3, code: 'DEADLINE_EXCEEDED' }, { level: 40, code: 'DEADLINE_EXCEEDED' }],
  [
    'a fault of ours, with what is behind it',
    { code: 'INTERNAL', fault: new TypeError('inner') },
    { level: 50, msg: 'call failed', err: { type: 'TypeError', message: 'inner' } },
  ],
  ['an outage', { code: 'UNAVAILABLE', fault: new Error('x') }, { level: 50, code: 'UNAVAILABLE' }],
])('%s is', (_, call, line) => {
  expect(logged(call)).toMatchObject([line]);
});
