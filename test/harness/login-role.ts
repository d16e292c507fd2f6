import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { temporaryDirectory } from './temporary-directory.ts';

/** A role of Postgres that logs in with the password of a file. */
export interface LoginRole extends AsyncDisposable {
  readonly name: string;
  /** The URL of the database for this role, without a password. */
  readonly url: string;
  readonly passwordFile: string;
}

/** Creates a role with the password `secret`. Disposing drops the role and its rights. */
export async function createLoginRole(admin: pg.Pool, databaseUrl: string): Promise<LoginRole> {
  const url = new URL(databaseUrl);
  const name = `role_of_${url.pathname.slice(1)}`;
  await admin.query(`create role ${name} login password 'secret'`);
  url.username = name;
  url.password = '';
  const directory = await temporaryDirectory();
  const passwordFile = join(directory.path, 'password');
  await writeFile(passwordFile, 'secret');
  return {
    name,
    url: url.href,
    passwordFile,
    async [Symbol.asyncDispose]() {
      await admin.query(`drop owned by ${name}; drop role ${name}`);
      await directory[Symbol.asyncDispose]();
    },
  };
}
