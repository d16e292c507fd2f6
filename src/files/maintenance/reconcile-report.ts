import type { LostTail } from './lost-tail.ts';

/** How many findings there are, and the keys of the first ones. */
export interface Finding {
  count: number;
  bytes: number;
  examples: string[];
}

/** What `reconcile` found and repaired, for the operator. */
export interface ReconcileReport {
  rows: { ready: number; pending: number; deleted: number };
  objects: { count: number; bytes: number };
  /** Objects under keys of this service that have no row, and are older than `minAgeSeconds`. */
  orphans: Finding;
  /** Objects under keys of this service that have no row, but are younger. */
  young: Finding;
  /**
   * Those of `orphans` and `young` that may be the only copy: no other READY file of their user has their
   * content.
   */
  adoptable: Finding;
  /** The rest of `orphans`: another READY file of their user has their content. */
  copies: Finding;
  /** Those of `adoptable` that look like the end of a table that was lost. None of `orphans` is removed then. */
  lostTail: LostTail | undefined;
  /** Objects under keys that this service never makes. They are never touched. */
  foreign: Finding;
  /**
   * Unfinished multipart uploads older than `minAgeSeconds` for which no row is responsible. Their parts cost
   * storage and appear in no list of objects.
   */
  strayUploads: Finding;
  /** Unfinished multipart uploads that are younger, for which no row is responsible. */
  youngUploads: Finding;
  /** READY rows whose object is missing. */
  missing: Finding;
  /** READY rows whose object has other bytes. */
  different: Finding;
  repaired: { orphans: number; adopted: number; strayUploads: number; missing: number; different: number };
  /** Lists of S3 that did not come to their end, and why. This report then lacks findings. */
  incomplete: string[];
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
    adoptable: finding(),
    copies: finding(),
    lostTail: undefined,
    strayUploads: finding(),
    youngUploads: finding(),
    foreign: finding(),
    missing: finding(),
    different: finding(),
    repaired: { orphans: 0, adopted: 0, strayUploads: 0, missing: 0, different: 0 },
    incomplete: [],
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

/**
 * Whether no difference is left that an operator should look at. Young and foreign objects and young uploads
 * are not differences, unless the young objects are part of a lost tail.
 */
export function agrees(report: ReconcileReport): boolean {
  const { orphans, adoptable, copies, lostTail, strayUploads, missing, different, repaired } = report;
  const adoptedAll = repaired.adopted > 0 && repaired.adopted === adoptable.count && copies.count === 0;
  return (
    report.incomplete.length === 0 &&
    (adoptedAll || (lostTail === undefined && orphans.count === repaired.orphans)) &&
    strayUploads.count === repaired.strayUploads &&
    missing.count === repaired.missing &&
    different.count === repaired.different
  );
}
