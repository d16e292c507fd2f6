/** The figures of a progress bar: they never fall, and they never exceed the size of the file. */
export interface Progress {
  /**
   * An upload passes through the phases in this order. Only a multipart upload has the phase `completing`. If the
   * service has stored the file already, the upload has no phase `sending`.
   */
  phase: 'hashing' | 'sending' | 'completing' | 'done';
  bytesTotal: number;
  bytesHashed: number;
  /** Bytes that this call sent. Bytes that are sent again after a failure count once. */
  bytesSent: number;
  /** Bytes of the parts that an earlier, interrupted upload of the same content sent. */
  bytesResumed: number;
}

/** A terminal needs no more than ten reports a second. A change of phase is reported at once. */
const REPORT_INTERVAL_MS = 100;

export type ProgressMeter = ReturnType<typeof createProgressMeter>;

/** Counts bytes. No figure falls when a range is sent or hashed again, and no figure exceeds `bytesTotal`. */
export function createProgressMeter(
  bytesTotal: number,
  onProgress: ((progress: Progress) => void) | undefined,
) {
  const now: Progress = { phase: 'hashing', bytesTotal, bytesHashed: 0, bytesSent: 0, bytesResumed: 0 };
  const sentOfRange = new Map<number, number>();
  let isResumptionKnown = false;
  let reportedMs = Number.NEGATIVE_INFINITY;

  const report = () => {
    reportedMs = performance.now();
    onProgress?.({ ...now });
  };
  const reportThrottled = () => {
    if (performance.now() - reportedMs >= REPORT_INTERVAL_MS) report();
  };
  return {
    now: now as Readonly<Progress>,
    enter(phase: Progress['phase']): void {
      if (now.phase === phase) return;
      now.phase = phase;
      report();
    },
    hashed(bytes: number): void {
      now.bytesHashed = Math.min(now.bytesHashed + bytes, bytesTotal);
      reportThrottled();
    },
    /** Records how many bytes S3 has already. Only the first call of this function has an effect. */
    resumed(bytes: number): void {
      if (isResumptionKnown) return;
      isResumptionKnown = true;
      now.bytesResumed = bytes;
    },
    /**
     * Begins one try to send the range that starts at the byte `start`. The caller must call the returned function
     * with the size of each piece that it sends.
     */
    sending(start: number) {
      let sent = 0;
      return (bytes: number): void => {
        sent += bytes;
        const before = sentOfRange.get(start) ?? 0;
        if (sent <= before) return;
        sentOfRange.set(start, sent);
        now.bytesSent = Math.min(now.bytesSent + sent - before, bytesTotal - now.bytesResumed);
        reportThrottled();
      };
    },
  };
}
