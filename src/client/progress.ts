export interface Progress {
  /** In this order; `completing` of an upload in parts alone, and of a file that was there already, no `sending`. */
  phase: 'hashing' | 'sending' | 'completing' | 'done';
  bytesTotal: number;
  bytesHashed: number;
  /** By this call. What has to be sent again after a failure counts once. */
  bytesSent: number;
  /** Of parts that an earlier upload of this content, which did not end, had sent. */
  bytesResumed: number;
}

export interface ProgressMeter {
  readonly now: Readonly<Progress>;
  enter(phase: Progress['phase']): void;
  hashed(bytes: number): void;
  /** What is not to be sent, because S3 has it. Counts at the first time that it is known. */
  resumed(bytes: number): void;
  /** Of one try to send the range that begins there: call it with each piece. */
  sending(start: number): (bytes: number) => void;
}

/** What a terminal can show. A change of phase is told at once. */
const TELL_INTERVAL_MS = 100;

/** No figure ever falls, also when a range is sent or hashed again, and none grows beyond the total. */
export function createProgressMeter(
  bytesTotal: number,
  onProgress: ((progress: Progress) => void) | undefined,
): ProgressMeter {
  const now: Progress = { phase: 'hashing', bytesTotal, bytesHashed: 0, bytesSent: 0, bytesResumed: 0 };
  const sentOfRange = new Map<number, number>();
  let isResumptionKnown = false;
  let toldMs = Number.NEGATIVE_INFINITY;

  const tell = () => {
    toldMs = performance.now();
    onProgress?.({ ...now });
  };
  const tellSometimes = () => {
    if (performance.now() - toldMs >= TELL_INTERVAL_MS) tell();
  };
  return {
    now,
    enter(phase) {
      if (now.phase === phase) return;
      now.phase = phase;
      tell();
    },
    hashed(bytes) {
      now.bytesHashed = Math.min(now.bytesHashed + bytes, bytesTotal);
      tellSometimes();
    },
    resumed(bytes) {
      if (isResumptionKnown) return;
      isResumptionKnown = true;
      now.bytesResumed = bytes;
    },
    sending(start) {
      let sent = 0;
      return (bytes) => {
        sent += bytes;
        const before = sentOfRange.get(start) ?? 0;
        if (sent <= before) return;
        sentOfRange.set(start, sent);
        now.bytesSent = Math.min(now.bytesSent + sent - before, bytesTotal - now.bytesResumed);
        tellSometimes();
      };
    },
  };
}
