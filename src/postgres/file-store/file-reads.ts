import type { FileReads, Listed } from '../../files/ports/file-reads.ts';
import type { Database } from '../connection/database.ts';
import { type FileRow, toFile, toPendingFile, toReadyFile } from '../file-row.ts';
import * as statements from '../statements/reads.ts';
import type { StoreLimits } from '../store-limits.ts';
import { rowKey } from './row-key.ts';

/**
 * The most READY files that one page of a prefix search examines, and the most pending files that the first
 * page examines. Examining that many takes Postgres 6 ms if the rows are in its memory. Without this maximum, a
 * search in a million files took 300 ms.
 */
const EXAMINED_MAX = 10_000;

export function createFileReads(database: Database, limits: StoreLimits): FileReads {
  const { verificationTtlSeconds, examinedMax = EXAMINED_MAX } = limits;
  return {
    async find(call, s3Key) {
      const [row] = await database.run(call, statements.find, {
        ...rowKey(call, s3Key),
        verificationTtlSeconds,
      });
      return row && toFile(row);
    },

    async findMany(call, s3Keys) {
      const params = { userId: call.userId, s3Keys, verificationTtlSeconds };
      return (await database.run(call, statements.findMany, params)).map(toFile);
    },

    async hasSeveralTypes(call, s3Key) {
      const [row] = await database.run(call, statements.hasSeveralTypes, rowKey(call, s3Key));
      return row?.several_types ?? false;
    },

    async list(call, { after, ...query }, pendingLimit) {
      const params = { ...query, userId: call.userId, verificationTtlSeconds, examinedMax, pendingLimit };
      const pendingExaminedMax = EXAMINED_MAX;
      const nextParams = after && { ...params, afterTime: after.lastModified, afterKey: after.s3Key };
      if (query.filenamePrefix !== '') {
        return toListed(
          nextParams === undefined
            ? await database.run(call, statements.searchFirstPage, { ...params, pendingExaminedMax })
            : await database.run(call, statements.searchNextPage, nextParams),
        );
      }
      const rows =
        nextParams === undefined
          ? await database.run(call, statements.listFirstPage, params)
          : await database.run(call, statements.listNextPage, nextParams);
      return { ...byState(rows), examinedTo: undefined };
    },
  };
}

function byState(rows: FileRow[]): Pick<Listed, 'ready' | 'pending'> {
  return {
    ready: rows.filter((row) => row.state === 'ready').map(toReadyFile),
    pending: rows.filter((row) => row.state === 'pending').map(toPendingFile),
  };
}

function toListed(rows: statements.ExaminedRow[]): Listed {
  const last = rows.find((row) => row.is_last_examined);
  return { ...byState(rows.filter((row) => row.matches)), examinedTo: last && toReadyFile(last) };
}
