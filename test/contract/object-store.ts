/**
 * Tests the behaviour of an object store that the service and its clients rely on. The same tests run against
 * the development store and against a real server. Where correct servers differ, the test names the server
 * and its behaviour.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { type ObjectStoreTarget, type Subject, s3Client } from './object-store-client.ts';
import { corsContract, withoutCorsContract } from './object-store-cors.ts';
import { deleteContract } from './object-store-delete.ts';
import { listContract } from './object-store-list.ts';
import { multipartContract } from './object-store-multipart.ts';
import { putContract } from './object-store-put.ts';
import { readContract } from './object-store-read.ts';

/** @param hasCors whether a bucket of this server can have CORS rules. Only uploads from browser pages need them. */
export function objectStoreContract(
  name: string,
  start: () => Promise<ObjectStoreTarget>,
  { hasCors = true } = {},
): void {
  describe(name, () => {
    let subject: Subject;
    beforeAll(async () => {
      const target = await start();
      subject = { target, client: s3Client(target) };
    });
    afterAll(() => subject.client.destroy());
    for (const contract of [
      putContract,
      readContract,
      deleteContract,
      listContract,
      multipartContract,
      hasCors ? corsContract : withoutCorsContract,
    ]) {
      contract(() => subject);
    }
  });
}
