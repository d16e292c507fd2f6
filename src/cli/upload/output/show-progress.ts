import type { Terminal } from '../../terminal.ts';
import type { Totals } from '../find/count-files.ts';
import { filesDone } from '../tally.ts';
import type { RunState } from '../upload-files.ts';
import { createBar } from './bar.ts';

/** The progress line is drawn ten times a second, which is often enough for a person who watches it. */
const RENDER_INTERVAL_MS = 100;

/** Draws the progress line until it is disposed of, and removes it then. */
export function showProgress(terminal: Terminal, totals: Totals, state: RunState): Disposable {
  const bar = createBar();
  const draw = () => {
    const { tally, underWay, bytesHashed, bytesSent } = state;
    const [only] = underWay;
    const line = bar.render(
      {
        totals,
        filesDone: filesDone(tally),
        bytesStored: tally.bytesStored + Math.max(bytesSent - tally.bytesSent, 0),
        bytesHashed,
        onlyPath: underWay.size === 1 ? only?.path : undefined,
      },
      terminal.columns,
      performance.now(),
    );
    terminal.progress(line);
  };
  const drawing = setInterval(draw, RENDER_INTERVAL_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(drawing);
      terminal.progress('');
    },
  };
}
