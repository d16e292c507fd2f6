/** What `reconcile` found and repaired, for the operator. */
/** How many findings there are, and the keys of the first ones. */
export interface Finding {
  count: number;
  bytes: number;
  examples: string[];
}

export interface ReconcileReport {
  rows: { ready: number; pending: number; deleted: number };
  objects: { count: number; bytes: number };
  /** Objects under keys of this service that have no row, and are older than `minAgeSeconds`. */
  orphans: Finding;
  /**
   * Objects under keys of this service that have no row, but are younger. Their rows may have been committed
   * after the table was read.
   */
  young: Finding;
  /** Objects under keys that this service never makes. They are never touched. */
  foreign: Finding;
  /**
   * Unfinished multipart uploads older than `minAgeSeconds` for which no row is responsible. Their parts cost
   * storage and appear in no list of objects.
   */
  strayUploads: Finding;
  /** READY rows whose object is missing. */
  missing: Finding;
  /** READY rows whose object has other bytes. */
  different: Finding;
  repaired: { orphans: number; strayUploads: number; missing: number; different: number };
  /** Reasons why nothing, or not everything, was repaired. */
  refusals: string[];
}

const EXAMPLES_MAX = 10;

export function emptyReport(): ReconcileReport {
  const finding = (): Finding => ({ count: 0, bytes: 0, examples: [] });
  return {
    rows: { ready: 0, pending: 0, deleted: 0 },
    objects: { count: 0, bytes: 0 },
    orphans: finding(),
    young: finding(),
    strayUploads: finding(),
    foreign: finding(),
    missing: finding(),
    different: finding(),
    repaired: { orphans: 0, strayUploads: 0, missing: 0, different: 0 },
    refusals: [],
  };
}

export function add(sum: { count: number; bytes: number }, bytes: number): void {
  sum.count++;
  sum.bytes += bytes;
}

export function note(finding: Finding, s3Key: string, bytes: number): void {
  add(finding, bytes);
  if (finding.examples.length < EXAMPLES_MAX) finding.examples.push(s3Key);
}

export function total(rows: ReconcileReport['rows']): number {
  return rows.ready + rows.pending + rows.deleted;
}
