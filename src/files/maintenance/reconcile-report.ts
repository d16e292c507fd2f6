import type { LostTail } from './lost-tail.ts';

/** How many findings of one kind there are, their bytes together, and the keys of the first ones. */
export interface Finding {
  count: number;
  bytes: number;
  examples: string[];
}

/** The report for the operator: the differences that `reconcile` found, and those that it repaired. */
export interface ReconcileReport {
  rows: { ready: number; pending: number; deleted: number };
  objects: { count: number; bytes: number };
  /** Objects under keys of this service that have no row, and are older than `minAgeSeconds`. */
  orphans: Finding;
  /** Objects under keys of this service that have no row, and are younger than `minAgeSeconds`. */
  young: Finding;
  /**
   * The objects in `orphans` and `young` that may be the only copy of their content: no READY file of the same user
   * has this content.
   */
  adoptable: Finding;
  /** The other objects in `orphans`: a READY file of the same user has the same content. */
  copies: Finding;
  /**
   * The objects in `adoptable` and `unknownUser` whose rows seem to be lost together: all rows after a backup, or the
   * last rows before a failover. If there is a lost tail, no object in `orphans` is removed.
   */
  lostTail: LostTail | undefined;
  /**
   * Objects and multipart uploads without a row whose user is not known: their keys have only the hash of a user id,
   * and no row and no option names the id. `reconcile` never changes them, because it needs the user to look up a row.
   */
  unknownUser: Finding;
  /** READY rows whose object S3 refuses to show. */
  refused: Finding;
  /** Objects under keys that this service never makes. `reconcile` never changes them. */
  foreign: Finding;
  /**
   * Unfinished multipart uploads older than `minAgeSeconds` for which no row is responsible. Their parts cost
   * storage and appear in no list of objects.
   */
  strayUploads: Finding;
  /** Unfinished multipart uploads younger than `minAgeSeconds` for which no row is responsible. */
  youngUploads: Finding;
  /** READY rows whose object is missing. */
  missing: Finding;
  /** READY rows whose object has other bytes, or a Content-Encoding that makes clients deliver other bytes. */
  different: Finding;
  repaired: { orphans: number; adopted: number; strayUploads: number; missing: number; different: number };
  /** The lists that S3 did not deliver to the end, and why. If there are any, this report lacks findings. */
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
    unknownUser: finding(),
    refused: finding(),
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
 * Returns whether no difference is left that an operator should look at. Young objects, foreign objects and young
 * uploads are not differences. Young objects that are part of a lost tail are differences.
 */
export function agrees(report: ReconcileReport): boolean {
  const { orphans, adoptable, copies, lostTail, strayUploads, missing, different, repaired } = report;
  const unchecked = report.unknownUser.count + report.refused.count;
  const adoptedAll = repaired.adopted > 0 && repaired.adopted === adoptable.count && copies.count === 0;
  return (
    report.incomplete.length === 0 &&
    unchecked === 0 &&
    (adoptedAll || (lostTail === undefined && orphans.count === repaired.orphans)) &&
    strayUploads.count === repaired.strayUploads &&
    missing.count === repaired.missing &&
    different.count === repaired.different
  );
}
