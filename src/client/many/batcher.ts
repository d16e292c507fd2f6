interface Waiting<Request, Response> {
  request: Request;
  resolve: (response: Response) => void;
  reject: (error: unknown) => void;
}

export interface BatcherOptions<Request, Response> {
  /** The most requests of one call. */
  max: number;
  /** With this number of waiting requests, a call begins without a wait for more. */
  enough: number;
  /** How long fewer requests than `enough` wait for more requests, in milliseconds. */
  lingerMs: number;
  /** The number of calls that may be under way at once. */
  calls: number;
  /** When it is aborted, all waiting requests are rejected with its reason. */
  signal: AbortSignal;
  /** Returns a response or an Error for each request, in their order. */
  send: (requests: Request[]) => Promise<(Response | Error)[]>;
  /** Returns how long no further call may begin after a call failed with this error, in milliseconds. */
  pauseAfter: (error: unknown) => number;
}

/** The wait of the first batch. It is short, because no bytes are sent to S3 before the first answer. */
const FIRST_LINGER_MS = 1;

/**
 * Collects requests into calls. Only few calls are under way at a time. The requests that come meanwhile wait for the
 * next call, so the batches are larger where a call takes longer.
 *
 * The returned function sends one request with one of these calls. It throws the error of this request, the error of
 * the whole call, or the reason of the signal.
 */
export function createBatcher<Request, Response>(options: BatcherOptions<Request, Response>) {
  const { max, enough, calls, signal, send, pauseAfter } = options;
  let lingerMs = Math.min(FIRST_LINGER_MS, options.lingerMs);
  let waiting: Waiting<Request, Response>[] = [];
  let underWay = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let notBeforeMs = 0;

  const schedule = (): void => {
    if (underWay === calls || waiting.length === 0) return;
    const pauseMs = Math.max(0, notBeforeMs - performance.now());
    if (waiting.length >= enough && pauseMs === 0) return void sendNext();
    timer ??= setTimeout(timedOut, Math.max(pauseMs, lingerMs));
  };
  const timedOut = (): void => {
    timer = undefined;
    // A call that failed since the timer was set can have asked for a pause.
    if (performance.now() < notBeforeMs) schedule();
    else void sendNext();
  };
  const sendNext = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    underWay += 1;
    const batch = waiting.slice(0, max);
    waiting = waiting.slice(max);
    try {
      settle(batch, await send(batch.map(({ request }) => request)));
    } catch (error) {
      notBeforeMs = performance.now() + pauseAfter(error);
      for (const { reject } of batch) reject(error);
    }
    lingerMs = options.lingerMs;
    underWay -= 1;
    schedule();
  };
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    for (const { reject } of waiting) reject(signal.reason);
    waiting = [];
  });
  return (request: Request): Promise<Response> =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      waiting.push({ request, resolve, reject });
      schedule();
    });
}

function settle<Request, Response>(
  batch: readonly Waiting<Request, Response>[],
  responses: readonly (Response | Error)[],
): void {
  for (const [i, { resolve, reject }] of batch.entries()) {
    const response = responses[i] ?? new Error('the service answered too few of the requests');
    if (response instanceof Error) reject(response);
    else resolve(response);
  }
}
