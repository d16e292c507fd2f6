import { access, constants, stat } from 'node:fs/promises';
import { type Failure, failureOf } from './failure.ts';
import type { FailedEntry, FileItem } from './find/items.ts';
import type { Report } from './output/report.ts';

/**
 * Lists the files that an upload would take. It reads none of them and sends nothing, so it cannot tell whether the
 * service has stored a file already.
 *
 * @returns whether all entries can be uploaded
 */
export async function planUpload(
  items: AsyncIterable<FileItem | FailedEntry>,
  report: Report,
  signal: AbortSignal,
): Promise<boolean> {
  const plan = { files: 0, bytes: 0, failed: 0 };
  for await (const item of items) {
    if (signal.aborted) return false;
    const size = 'failure' in item ? item.failure : await readableSize(item);
    if (typeof size !== 'number') {
      plan.failed += 1;
      report.failed(item.path, size);
    } else if (!('failure' in item)) {
      plan.files += 1;
      plan.bytes += size;
      report.planned(item, size);
    }
  }
  report.finishedPlan(plan);
  return plan.failed === 0;
}

async function readableSize({ source }: FileItem): Promise<number | Failure> {
  try {
    await access(String(source), constants.R_OK);
    return (await stat(String(source))).size;
  } catch (error) {
    return failureOf(error);
  }
}
