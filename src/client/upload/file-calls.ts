import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CallOptions, Client } from '@connectrpc/connect';
import type { File } from '../../../gen/files/v1/file_pb.ts';
import type {
  CreatePresignedUploadRequestSchema,
  CreatePresignedUploadResponse,
  FileService,
} from '../../../gen/files/v1/file_service_pb.ts';

/** What a file needs to be created. */
export type CreateRequest = MessageInitShape<typeof CreatePresignedUploadRequestSchema>;

/** The calls of an upload with one PUT. `uploadMany` makes each of them for many files at once. */
export interface FileCalls {
  /** @throws the ConnectError of the service */
  create(request: CreateRequest, signal: AbortSignal): Promise<CreatePresignedUploadResponse>;
  /** Verifies the file if it is pending. @throws the ConnectError of the service */
  get(s3Key: string, signal: AbortSignal): Promise<File | undefined>;
}

/** Each call is a call to the service. */
export function singleCalls(client: Client<typeof FileService>): FileCalls {
  return {
    create: (request, signal) => client.createPresignedUpload(request, callOptions(signal)),
    get: async (s3Key, signal) => (await client.getFile({ s3Key }, callOptions(signal))).file,
  };
}

/** The time-out of each call: the longest that the service allows. */
const CALL_TIMEOUT_MS = 30_000;

export function callOptions(signal: AbortSignal): CallOptions {
  return { signal, timeoutMs: CALL_TIMEOUT_MS };
}
