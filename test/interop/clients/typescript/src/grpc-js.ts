import {
  type CallOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import {
  BatchCreatePresignedUploadsRequest,
  BatchGetFilesRequest,
  CompleteMultipartUploadRequest,
  CreateMultipartUploadRequest,
  CreatePresignedDownloadRequest,
  CreatePresignedPartsRequest,
  CreatePresignedUploadRequest,
  DeleteFileRequest,
  FileServiceClient,
  GetFileRequest,
  ListFilesRequest,
} from '../gen/grpc-js/files/v1/file_service.ts';
import { BadRequest, ErrorInfo, RetryInfo } from '../gen/grpc-js/google/rpc/error_details.ts';
import { Status } from '../gen/grpc-js/google/rpc/status.ts';
import { type Connection, errorOf, type Failure, TIMEOUT_MS } from './connection.ts';

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

export function grpcJs(address: string, user: string | undefined): Connection {
  const client = new FileServiceClient(address, credentials.createInsecure());
  const metadata = new Metadata();
  if (user !== undefined) metadata.set('x-user-id', user);

  const method =
    <Input, Request, Response>(
      { fromPartial }: { fromPartial: (request: Input) => Request },
      unary: Unary<Request, Response>,
    ) =>
    (request: Input, { timeoutMs = TIMEOUT_MS } = {}) =>
      new Promise<Response>((resolve, reject) => {
        unary.call(
          client,
          fromPartial(request),
          metadata,
          { deadline: Date.now() + timeoutMs },
          (error, response) => (error === null ? resolve(response) : reject(error)),
        );
      });

  return {
    files: {
      createPresignedUpload: method(CreatePresignedUploadRequest, client.createPresignedUpload),
      createMultipartUpload: method(CreateMultipartUploadRequest, client.createMultipartUpload),
      createPresignedParts: method(CreatePresignedPartsRequest, client.createPresignedParts),
      completeMultipartUpload: method(CompleteMultipartUploadRequest, client.completeMultipartUpload),
      listFiles: method(ListFilesRequest, client.listFiles),
      getFile: method(GetFileRequest, client.getFile),
      createPresignedDownload: method(CreatePresignedDownloadRequest, client.createPresignedDownload),
      deleteFile: method(DeleteFileRequest, client.deleteFile),
      batchGetFiles: method(BatchGetFilesRequest, client.batchGetFiles),
    },
    async createAll(requests) {
      const create = method(BatchCreatePresignedUploadsRequest, client.batchCreatePresignedUploads);
      const { results } = await create({ requests });
      return results.map(({ response, status }) => ({
        ...(response !== undefined && { response }),
        ...(status !== undefined && { failure: failureFrom(status) }),
      }));
    },
    async failureOf(call) {
      const { code, metadata } = (await errorOf(call)) as ServiceError;
      const [bytes] = metadata.get('grpc-status-details-bin');
      // If the deadline passes before the server answers, grpc-js itself makes the error, which then has no details.
      return failureFrom(bytes === undefined ? { code, details: [] } : Status.decode(bytes as Buffer));
    },
    [Symbol.dispose]: () => client.close(),
  };
}

function failureFrom({ code, details }: Omit<Status, 'message'>): Failure {
  const failure: Failure = {
    code: status[code] ?? '',
    reason: '',
    domain: '',
    metadata: {},
    fields: [],
    retryDelaySeconds: 0,
  };
  for (const { typeUrl, value } of details) {
    if (typeUrl.endsWith('/google.rpc.ErrorInfo')) {
      const { reason, domain, metadata: values } = ErrorInfo.decode(value);
      Object.assign(failure, { reason, domain, metadata: values });
    } else if (typeUrl.endsWith('/google.rpc.BadRequest')) {
      failure.fields.push(...BadRequest.decode(value).fieldViolations.map(({ field }) => field));
    } else if (typeUrl.endsWith('/google.rpc.RetryInfo')) {
      const { seconds, nanos } = RetryInfo.decode(value).retryDelay ?? { seconds: 0n, nanos: 0 };
      failure.retryDelaySeconds = Number(seconds) + nanos / 1e9;
    }
  }
  return failure;
}
