/**
 * The objects that look like the end of a table that was lost. After an asynchronous failover, the new primary
 * has no row of the last uploads that the old one acknowledged. After a restore, it has no row of any upload
 * since the backup. Their objects are the only copies.
 */
export interface LostTail {
  /** Objects without a row that were written from `from` to `to`. */
  count: number;
  from: Date;
  to: Date;
}

export interface TailSearch {
  addRow(time: Date): void;
  /** @param time when S3 received an object that has no row */
  addObject(time: Date): void;
  find(): LostTail | undefined;
}

/**
 * The objects are counted in slices of this length, so that the memory does not grow with their number. Two
 * slices in a row are looked at together: a cluster of half an hour is found wherever it begins. Standbys lag
 * by seconds, and most uploads end within minutes.
 */
const SLICE_MS = 1_800_000;

/** So many objects within two slices are a cluster, however many there are in all. */
const CLUSTER_OBJECTS = 5;

/** A single object is no cluster. It can be told from an accident only while no row is newer. */
const CLUSTER_OBJECTS_MIN = 2;

/** S3 tells times in whole seconds. */
const SECOND_MS = 1_000;

interface Slice {
  count: number;
  firstMs: number;
  lastMs: number;
}

/**
 * Finds objects without a row that are not older than the newest row, or that cluster: at least half of all,
 * or five, within two slices. Late PUTs and other accidents with single files spread over days. The search
 * rather finds a tail that is none: then an operator has to look.
 */
export function createTailSearch(): TailSearch {
  const slices = new Map<number, Slice>();
  let newestRowMs = Number.NEGATIVE_INFINITY;
  let total = 0;

  return {
    addRow(time) {
      newestRowMs = Math.max(newestRowMs, time.getTime());
    },

    addObject(time) {
      const ms = time.getTime();
      const index = Math.floor(ms / SLICE_MS);
      const { count, firstMs, lastMs } = slices.get(index) ?? { count: 0, firstMs: ms, lastMs: ms };
      const slice = {
        count: count + 1,
        firstMs: Math.min(firstMs, ms),
        lastMs: Math.max(lastMs, ms),
      };
      slices.set(index, slice);
      total++;
    },

    find() {
      const newestMs = Math.floor(newestRowMs / SECOND_MS) * SECOND_MS;
      const needed = Math.min(CLUSTER_OBJECTS, Math.max(CLUSTER_OBJECTS_MIN, Math.ceil(total / 2)));
      const countAt = (index: number) => slices.get(index)?.count ?? 0;
      const suspicious = [...slices].filter(([index, { count, lastMs }]) => {
        const withNeighbour = count + Math.max(countAt(index - 1), countAt(index + 1));
        return lastMs >= newestMs || withNeighbour >= needed;
      });
      return merged(suspicious.map(([, slice]) => slice));
    },
  };
}

function merged(slices: Slice[]): LostTail | undefined {
  if (slices.length === 0) return undefined;
  return {
    count: slices.reduce((sum, { count }) => sum + count, 0),
    from: new Date(slices.reduce((least, { firstMs }) => Math.min(least, firstMs), Number.POSITIVE_INFINITY)),
    to: new Date(slices.reduce((most, { lastMs }) => Math.max(most, lastMs), Number.NEGATIVE_INFINITY)),
  };
}

export function describeTail({ count, from, to }: LostTail): string {
  return `${count} objects without a row were written from ${from.toISOString()} to ${to.toISOString()}. They cluster there, or are not older than the newest row: this is how a table looks after a failover or a restore that lost its last rows, and these objects may be the only copies of finished uploads. Nothing is removed. Run "npm run reconcile -- --adopt" to make files of them, or remove them by hand.`;
}
