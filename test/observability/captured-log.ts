import { Writable } from 'node:stream';
import { createLogger } from '../../src/observability/logger.ts';

/** A logger of the service, with the text and the lines that it has written. */
export function captureLog(level: Parameters<typeof createLogger>[0]) {
  let text = '';
  const sink = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  return {
    log: createLogger(level, sink),
    text: () => text,
    lines: (): Record<string, unknown>[] =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
  };
}
