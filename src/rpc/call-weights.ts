/**
 * The weights of calls: their rough costs relative to a GetFile. The service limits the sum of the weights of running
 * calls. A weight follows from the request alone, so it is known before the call does any work. It depends on the
 * number of signatures to make, the number of rows to read, and the size of the response. The response stays in memory
 * until the gateway (the trusted caller that names the user) has read it.
 */
import type { DescService, MessageShape } from '@bufbuild/protobuf';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '../files/operations/list-files.ts';

/** A file in a response has at most 1.3 kB, so a weight of 1 stands for at most 64 KiB of response. */
const FILES_PER_WEIGHT = 50;

/**
 * For a page with a filename prefix, Postgres examines up to 10,000 READY files, which takes 6 ms. For the first page,
 * it also examines up to 10,000 pending files (`src/postgres/file-store/file-reads.ts`). A search that fills its page
 * sooner costs less. This weight lies between the two costs.
 */
const PREFIX_WEIGHT = 8;

/**
 * Making one URL takes 7 µs of CPU. So 20 URLs cost as much as a GetFile, which takes 100 µs in this process and 50 µs
 * in Postgres (test/README.md).
 */
const SIGNATURES_PER_WEIGHT = 20;

/** The MD5 of a part takes 200 bytes of memory when decoded, so 500 MD5s take 100 kB. */
const PART_MD5S_PER_WEIGHT = 500;

/**
 * CompleteMultipartUpload reads the list of up to 10,000 parts from S3 and sends it back to S3: ten requests and
 * a megabyte of XML.
 */
const COMPLETE_WEIGHT = 8;

/**
 * A new file in a batch takes 60 to 80 µs of CPU in this process and in Postgres together, and in a call of its own 310
 * to 480 µs. This figure does not include the HEAD request to S3 for a file that may exist already.
 */
const BATCH_CREATES_PER_WEIGHT = 10;

type Weights<Service extends DescService> = {
  [Name in keyof Service['method']]: (request: MessageShape<Service['method'][Name]['input']>) => number;
};

export const FILE_SERVICE_WEIGHTS: Weights<typeof FileService> = {
  createPresignedUpload: () => 1,
  batchCreatePresignedUploads: ({ requests }) => Math.ceil(requests.length / BATCH_CREATES_PER_WEIGHT),
  listFiles: ({ pageSize, filenamePrefix }) =>
    Math.ceil(Math.min(pageSize > 0 ? pageSize : PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX) / FILES_PER_WEIGHT) +
    (filenamePrefix === '' ? 0 : PREFIX_WEIGHT),
  getFile: () => 1,
  batchGetFiles: ({ s3Keys }) => Math.ceil(s3Keys.length / FILES_PER_WEIGHT),
  deleteFile: () => 1,
  createPresignedDownload: () => 1,
  createMultipartUpload: ({ partMd5s }) => 1 + Math.ceil(partMd5s.length / PART_MD5S_PER_WEIGHT),
  createPresignedParts: ({ partNumbers }) =>
    Math.max(1, Math.ceil(partNumbers.length / SIGNATURES_PER_WEIGHT)),
  completeMultipartUpload: () => COMPLETE_WEIGHT,
};
