/** Numbers as a person reads them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function sizeText(bytes: number): string {
  const power = powerOf(bytes);
  return `${inUnit(bytes, power)} ${UNITS[power]}`;
}

/** Returns `0.5 of 3.9 GiB`: both numbers in the unit of the larger one, because that makes the text short. */
export function shareText(part: number, whole: number): string {
  return `${inUnit(part, powerOf(whole))} of ${sizeText(whole)}`;
}

function powerOf(bytes: number): number {
  return bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
}

function inUnit(bytes: number, power: number): string {
  return (bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1);
}

export function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `12,345`: with separators, because a run can have millions of files. */
export function countText(count: number): string {
  return count.toLocaleString('en-US');
}

export function filesText(count: number): string {
  return `${countText(count)} ${count === 1 ? 'file' : 'files'}`;
}
