// If there are more differences between table and bucket than both bounds, `repair.ts` removes no object, and
// `correct-rows.ts` changes no row. If the table was restored to an older state, every object that was uploaded after
// that state has no row and is the only copy of its file. Accidents with single files affect far fewer than a tenth of
// all files. In a small bucket a tenth can be a single file, so ten differences are not a large share in any bucket.
const SHARE_MAX = 0.1;
const ALWAYS_ALLOWED = 10;

/** Returns whether there are more differences than accidents with single files can explain. */
export function isLargeShare(differences: number, all: number): boolean {
  return differences > Math.max(ALWAYS_ALLOWED, all * SHARE_MAX);
}
