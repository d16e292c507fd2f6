import type { OpenSource } from '../upload/platform.ts';
import type { FileVersion, Md5Cache } from './md5-cache.ts';

/**
 * Some file systems keep times with a resolution of 2 s. So a file that was written to less than this time before it
 * was opened can be written to again, and its times stay the same. The MD5s of such a file are not kept.
 */
const SETTLED_AFTER_MS = 2_000;

/** Returns whether the cache has the MD5 of the whole file. Then the file need not be read before its PUT. */
export function isKnown(cache: Md5Cache, file: FileVersion): boolean {
  return file.sizeBytes > 0n && cache.get(file, Number(file.sizeBytes)) !== undefined;
}

/** Wraps `source` so that `md5s` takes the MD5s from the cache, or else computes them and puts them into the cache. */
export function withMd5Cache<Body>(
  source: OpenSource<Body>,
  cache: Md5Cache,
  file: FileVersion,
): OpenSource<Body> {
  // The MD5s of files in /proc and /sys are not cached, because such files change without a change of their size and
  // times. The real size of such a file differs from the size that `stat` returns.
  if (file.sizeBytes === 0n || BigInt(source.sizeBytes) !== file.sizeBytes) return source;
  const openedMs = Date.now();
  let isFromCache = false;
  return {
    ...source,
    async md5s(ranges, options) {
      const [first = { start: 0, end: 0 }] = ranges;
      const rangeBytes = first.end - first.start;
      const known = cache.get(file, rangeBytes);
      if (known?.length === ranges.length) {
        isFromCache = true;
        options.onHashed(source.sizeBytes);
        return known;
      }
      const md5s = await source.md5s(ranges, options);
      if (openedMs - changedMs(file) > SETTLED_AFTER_MS) cache.set(file, rangeBytes, md5s);
      return md5s;
    },
    forgetMd5s() {
      const wasFromCache = isFromCache;
      isFromCache = false;
      cache.delete(file);
      return wasFromCache;
    },
  };
}

function changedMs({ mtimeNs, ctimeNs }: FileVersion): number {
  return Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1_000_000n);
}
