import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ManyProgress, UploadItem, UploadManyOptions, UploadOutcome } from '../../src/client/node.ts';
import type { Fixture } from './fixture.ts';

/** Writes files of these sizes with random bytes, and returns their items. */
export async function itemsOf(
  { directory: parent }: Fixture,
  name: string,
  sizes: readonly number[],
): Promise<UploadItem[]> {
  const directory = join(parent, name);
  await mkdir(directory);
  return Promise.all(
    sizes.map(async (bytes, i) => {
      const source = join(directory, `${name}-${i}.bin`);
      await writeFile(source, randomBytes(bytes));
      return { source };
    }),
  );
}

/** Collects the outcomes of a run, and checks that no figure of its progress falls. */
export function watchMany<Item extends UploadItem>() {
  const outcomes: UploadOutcome<Item>[] = [];
  const progress: ManyProgress[] = [];
  const options: UploadManyOptions<Item> = {
    onOutcome: (outcome) => void outcomes.push(outcome),
    onProgress: (now) => {
      for (const [figure, before] of Object.entries(progress.at(-1) ?? {})) {
        expect(now[figure as keyof ManyProgress], figure).toBeGreaterThanOrEqual(before);
      }
      expect(now.bytesSent).toBeLessThanOrEqual(now.bytesTotal);
      expect(now.bytesHashed).toBeLessThanOrEqual(now.bytesTotal);
      progress.push(now);
    },
  };
  return { outcomes, progress, options };
}

export function failuresOf<Item>(outcomes: readonly UploadOutcome<Item>[]) {
  return outcomes.flatMap((outcome) => ('error' in outcome ? [outcome] : []));
}
