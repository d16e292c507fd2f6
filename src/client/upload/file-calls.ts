import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CallOptions, Client } from '@connectrpc/connect';
import type { File } from '../../../gen/files/v1/file_pb.ts';
import type {
  CreatePresignedUploadRequestSchema,
  CreatePresignedUploadResponse,
  FileService,
} from '../../../gen/files/v1/file_service_pb.ts';

/** The fields of a request of CreatePresignedUpload. */
export type CreateRequest = MessageInitShape<typeof CreatePresignedUploadRequestSchema>;

/** The calls to the service for an upload with one PUT. `uploadMany` collects the calls of many files into one. */
export interface FileCalls {
  /** @throws the ConnectError of the service */
  create(request: CreateRequest, signal: AbortSignal): Promise<CreatePresignedUploadResponse>;
  /** Gets the file. If the file is PENDING, the service verifies it first. @throws the ConnectError of the service */
  get(s3Key: string, signal: AbortSignal): Promise<File | undefined>;
}

/** Calls the service for each file by itself. */
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
