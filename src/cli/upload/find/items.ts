import type { FileHandle } from 'node:fs/promises';
import { lookup } from 'mrmime';
import type { UploadItem } from '../../../client/node.ts';
import { parseFilename } from '../../../files/rules/filename.ts';
import { STDIN } from '../arguments.ts';
import { type Failure, failureOf } from '../failure.ts';
import { walk } from './walk.ts';

/** A file to upload, in the form that `uploadMany` of the client package takes. */
export interface FileItem extends UploadItem {
  /** The path as the user would write it. */
  path: string;
  filename: string;
}

/** An entry that is not uploaded, and the reason. */
export interface FailedEntry {
  path: string;
  failure: Failure;
}

interface ItemSources {
  paths: readonly string[];
  /** The directory to which relative paths refer. */
  directory: string;
  /** The filename for standard input. */
  name: string | undefined;
  /** Copies standard input into a file. */
  spoolStdin: () => Promise<FileHandle>;
}

/** Yields the files one by one, so that the client can upload the first of them before all are found. */
export async function* itemsOf({
  paths,
  directory,
  name = '',
  spoolStdin,
}: ItemSources): AsyncGenerator<FileItem | FailedEntry> {
  for (const path of paths) {
    if (path === STDIN) yield await stdinItem(name, spoolStdin);
    else {
      for await (const found of walk([path], directory)) {
        yield 'failure' in found ? found : itemOf(found.path, found.filename, found.absolute);
      }
    }
  }
}

async function stdinItem(
  name: string,
  spoolStdin: () => Promise<FileHandle>,
): Promise<FileItem | FailedEntry> {
  const item = itemOf(STDIN, name, '');
  if ('failure' in item) return item;
  try {
    return { ...item, source: await spoolStdin() };
  } catch (error) {
    return { path: STDIN, failure: failureOf(error) };
  }
}

/** The service refuses wrong names too. This check also works in a dry run, and before the file is read. */
function itemOf(path: string, filename: string, source: string): FileItem | FailedEntry {
  try {
    parseFilename(filename);
  } catch (error) {
    return { path, failure: failureOf(error) };
  }
  const mimeType = lookup(filename);
  return { path, source, filename, ...(mimeType !== undefined && { mimeType }) };
}
