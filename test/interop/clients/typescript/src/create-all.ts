import type { Client } from '@connectrpc/connect';
import type { FileService } from '../gen/es/files/v1/file_service_pb.ts';
import type { Connection } from './connection.ts';
import { detailsOf, failureFrom } from './failure.ts';

/** BatchCreatePresignedUploads with the types of protoc-gen-es. */
export function createAllOf(
  files: Client<typeof FileService>,
  codeName: (code: number) => string | undefined,
): Connection['createAll'] {
  return async (requests) => {
    const { results } = await files.batchCreatePresignedUploads({ requests });
    return results.map(({ result }) => {
      if (result.case === 'response') return { response: result.value };
      if (result.case === 'status') {
        return { failure: failureFrom(codeName(result.value.code), detailsOf(result.value)) };
      }
      throw new Error('an unknown outcome');
    });
  };
}
