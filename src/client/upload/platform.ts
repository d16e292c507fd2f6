/** The few things that Node and a browser do differently. Everything else in `src/client/upload` is for both. */

/** A range of the bytes of a source. `end` is exclusive. */
export interface Range {
  start: number;
  end: number;
}

/**
 * @typeParam Source what a caller can upload
 * @typeParam Body the form in which the platform sends bytes: a stream of pieces in Node, a Blob in a browser
 */
export interface Platform<Source, Body> {
  /** Finds the source, and does not open it. @throws if there is no such source */
  find(source: Source): Promise<FoundSource<Body>>;
  createPutClient(): PutClient<Body>;
}

export interface FoundSource<Body> {
  /** The size when it was found. A file can have another size when it is opened. */
  readonly sizeBytes: number;
  /** Must be called at most once. @throws if the source cannot be opened */
  open(): Promise<OpenSource<Body>>;
}

export interface OpenSource<Body> {
  readonly sizeBytes: number;
  /** The name of the source, if it has one. */
  readonly filename: string | undefined;
  readonly mimeType: string | undefined;
  /** Returns one MD5 for each range, in the order of the ranges. */
  md5s(ranges: readonly Range[], options: HashOptions): Promise<Uint8Array[]>;
  body(range: Range): Body;
  /** @throws UploadError SOURCE_CHANGED */
  assertUnchanged(): Promise<void>;
  /**
   * Forgets the MD5s that `md5s` returned from a cache of an earlier run. Returns whether there were any. The next call
   * of `md5s` then computes them.
   */
  forgetMd5s?(): boolean;
  /** Closes what `open` opened. A file that the caller opened stays open. */
  close(): Promise<void>;
}

export interface HashOptions {
  signal: AbortSignal;
  onHashed: (bytes: number) => void;
}

export interface PutClient<Body> {
  /**
   * Sends one PUT with the headers of the target. Adds only the headers that HTTP itself needs.
   *
   * @throws PutError, the error of reading the bytes, or the reason of the signal
   */
  put(target: PutTarget, body: Body, options: PutOptions): Promise<void>;
  /** Closes the connections. */
  close(): void;
}

/** The presigned URL and the required headers, as the service returned them. */
export interface PutTarget {
  url: string;
  headers: Record<string, string>;
}

export interface PutOptions {
  signal: AbortSignal;
  /** Called with the size of each piece that was sent. */
  onSent: (bytes: number) => void;
}
