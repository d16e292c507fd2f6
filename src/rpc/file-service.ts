/**
 * `src/rpc/` serves the contract of `proto/`. It has, once for all protocols, the translation of messages (this file),
 * identity, admission, deadlines and the mapping of errors. `grpc/` is the gRPC server, `http/` the server for Connect,
 * gRPC-Web and pages such as `/livez`, `limits/` the limits of connections, streams and messages, `memory/` frees what
 * requests have used, and `tls/` has the certificates.
 *
 * Rules about files do not belong here, but in `src/files/`: this folder uses neither SQL nor S3. A new RPC
 * starts in this file.
 */
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { FileService, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { mapInSlices } from '../files/operations/in-slices.ts';
import type { FileOperations } from '../files/operations/operations.ts';
import { type CallPolicy, withCallPolicy } from './call-policy.ts';
import { FILE_SERVICE_WEIGHTS } from './call-weights.ts';
import { fileToProto, uploadResultToProto, uploadToProto } from './to-proto.ts';

/**
 * Translates each request message to a call of an operation (`src/files/operations`), and the result of the operation
 * to the response message. All decisions about files are in the operations.
 */
export function createFileService(
  files: FileOperations,
  policy: CallPolicy,
): ServiceImpl<typeof FileService> {
  return withCallPolicy(FileService, policy, FILE_SERVICE_WEIGHTS, {
    async createPresignedUpload(request, call) {
      return uploadToProto(await files.createPresignedUpload(call, request));
    },

    async batchCreatePresignedUploads({ requests }, call) {
      const results = await files.batchCreatePresignedUploads(call, requests);
      return { results: await mapInSlices(results, uploadResultToProto) };
    },

    async listFiles(request, call) {
      const { files: page, nextPageToken, unverifiedUploads } = await files.listFiles(call, request);
      return { files: page.map(fileToProto), nextPageToken, unverifiedUploads };
    },

    async getFile({ s3Key }, call) {
      return { file: fileToProto(await files.getFile(call, s3Key)) };
    },

    async batchGetFiles({ s3Keys }, call) {
      const { files: found, unverifiedUploads } = await files.batchGetFiles(call, s3Keys);
      return { files: found.map(fileToProto), unverifiedUploads };
    },

    async deleteFile({ s3Key }, call) {
      await files.deleteFile(call, s3Key);
      return {};
    },

    async createPresignedDownload({ s3Key }, call) {
      const { file, download } = await files.createPresignedDownload(call, s3Key);
      return {
        presignedUrl: download.url,
        expireTime: timestampFromDate(download.expireTime),
        file: fileToProto(file),
      };
    },

    async createMultipartUpload(request, call) {
      const answer = await files.createMultipartUpload(call, request);
      const { s3Key } = answer;
      const partSize = BigInt(answer.partSize);
      if (answer.type === 'existing') return { type: UploadType.EXISTING, s3Key, partSize };
      const { missingPartNumbers, expireTime } = answer;
      return {
        type: UploadType.NEW,
        s3Key,
        partSize,
        missingPartNumbers,
        expireTime: timestampFromDate(expireTime),
      };
    },

    async createPresignedParts(request, call) {
      const { urls, expireTime } = await files.createPresignedParts(call, request);
      const parts = urls.map(({ number, url, requiredHeaders }) => ({
        partNumber: number,
        presignedUrl: url,
        requiredHeaders,
      }));
      return { parts, expireTime: timestampFromDate(expireTime) };
    },

    async completeMultipartUpload({ s3Key }, call) {
      return { file: fileToProto(await files.completeMultipartUpload(call, s3Key)) };
    },
  });
}
