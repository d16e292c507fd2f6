/**
 * Objects in S3 whose rows seem to be lost. The lost rows were the newest rows of the table, its tail. After
 * an asynchronous failover, the new primary may lack the rows of the last uploads that the old primary
 * acknowledged. After a restore, the table lacks the rows of all uploads since the backup. The objects of
 * these uploads may be the only copies of their bytes.
 */
export interface LostTail {
  /** The number of objects that the search reports. The first was written at `from`, the last at `to`. */
  count: number;
  from: Date;
  to: Date;
}

interface TailSearch {
  addRow(time: Date): void;
  /** @param time when S3 received an object that has no row */
  addObject(time: Date): void;
  find(): LostTail | undefined;
}

/**
 * The objects are counted in slices of time of this length, so that the memory does not grow with the number
 * of objects. Two neighbouring slices are counted together, so that a cluster of half an hour is found
 * wherever it begins. Half an hour suffices, because standbys lag by seconds and most uploads end within
 * minutes.
 */
const SLICE_MS = 1_800_000;

/**
 * This many objects within two neighbouring slices are a cluster, however many objects without a row there
 * are in all.
 */
const CLUSTER_OBJECTS = 5;

/**
 * A single object is no cluster, because an accident also leaves a single object. A single object counts as
 * lost only if no row is newer than the object.
 */
const CLUSTER_OBJECTS_MIN = 2;

/**
 * S3 reports times in whole seconds, and Postgres in microseconds. `find` rounds the time of the newest row down to a
 * second before it compares this time with objects.
 */
const SECOND_MS = 1_000;

interface Slice {
  count: number;
  firstMs: number;
  lastMs: number;
}

/**
 * Finds objects without a row that are not older than the newest row, or that form a cluster. A cluster is
 * five objects, or two or more that are at least half of all objects without a row, within two neighbouring
 * slices. Accidents with single files do not cluster, because they are spread over days. In doubt the search
 * reports a tail, because then an operator looks at the objects and nothing is removed.
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
