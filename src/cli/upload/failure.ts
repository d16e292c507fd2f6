import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema, UploadError, type UploadErrorReason } from '../../client/node.ts';
import { FileError } from '../../files/file-error.ts';

/** Why an entry was not uploaded, in words, and what the user can do. Neither text ends with a full stop. */
export interface Failure {
  message: string;
  toDo: string;
}

const RUN_AGAIN = 'run the same command again; it sends only what is missing';

const CHECK_URL = 'check --url: another or an older service answers there';

const TELL_OPERATOR = 'tell the operator of the service; npm run doctor finds the reason';

const UPLOAD_ERRORS: Record<UploadErrorReason, string> = {
  SOURCE_UNUSABLE: 'upload a regular file',
  SOURCE_CHANGED: 'run the same command again when no program writes to the file',
  STORAGE_REFUSED: 'tell the operator of the service; the answer of S3 stands here',
  STORAGE_UNREACHABLE: RUN_AGAIN,
};

/** The errors of the file system that a user meets, without the name of the system call. */
const SYSTEM_ERRORS: Record<string, Failure> = {
  ENOENT: { message: 'there is no such file', toDo: 'check the path' },
  EISDIR: { message: 'it is a directory', toDo: 'pass its path as an argument' },
  ENOTDIR: { message: 'a part of the path is not a directory', toDo: 'check the path' },
  EACCES: { message: 'it may not be read', toDo: 'ask its owner for the permission to read it' },
  EPERM: { message: 'it may not be read', toDo: 'ask its owner for the permission to read it' },
  ELOOP: { message: 'its symbolic links lead in a circle', toDo: 'repair or remove the link' },
  ENAMETOOLONG: { message: 'its path is too long', toDo: 'upload a directory that is nearer to the file' },
  EMFILE: { message: 'too many files are open', toDo: 'use a smaller --concurrency, or raise ulimit -n' },
  ENXIO: { message: 'it is a socket or a device', toDo: UPLOAD_ERRORS.SOURCE_UNUSABLE },
  ENOSPC: {
    message: 'the disk for temporary files is full',
    toDo: 'set TMPDIR to a directory of a larger disk',
  },
  ENODEV: {
    message: 'it is closed, or a device such as /dev/null',
    toDo: 'pass the content: … | npm run upload -- - --name NAME',
  },
  EIO: { message: 'the disk cannot read it', toDo: 'check the disk' },
  ESTALE: { message: 'the file server does not know it any more', toDo: 'check the path' },
};

/** Node's codes for a certificate that no known authority has signed. */
const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/**
 * The message does not name the file, because each report begins with the path as the user wrote it.
 *
 * @param source the path by which an error of the client package may name the file
 */
export function failureOf(error: unknown, source?: unknown): Failure {
  if (error instanceof ConnectError) return failureOfCall(error);
  if (error instanceof UploadError) {
    return { message: aboutIt(error.message, source), toDo: UPLOAD_ERRORS[error.reason] };
  }
  if (error instanceof FileError) return { message: error.message, toDo: 'rename the file' };
  const { code = '' } = error as NodeJS.ErrnoException;
  const known = SYSTEM_ERRORS[code];
  if (known !== undefined) return { message: `${known.message} (${code})`, toDo: known.toDo };
  return { message: error instanceof Error ? withoutCall(error) : String(error), toDo: RUN_AGAIN };
}

function aboutIt(message: string, source: unknown): string {
  return typeof source === 'string' && message.startsWith(`${source} `)
    ? `it${message.slice(source.length)}`
    : message;
}

/** Node ends the message of a system error with `, open 'PATH'`. */
function withoutCall({ message, syscall, path }: NodeJS.ErrnoException): string {
  const call = `, ${syscall} '${path}'`;
  return message.endsWith(call) ? message.slice(0, -call.length) : message;
}

/** Returns `MESSAGE. To do: TO DO.` as one line. A message that quotes a sentence of S3 has its full stop already. */
export function failureText({ message, toDo }: Failure): string {
  return `${message.replace(/\.$/, '')}. To do: ${toDo}.`;
}

/** Whether the error would be the same for each further file, so that the command should stop. */
export function failsForEachFile(error: unknown): boolean {
  if (error instanceof UploadError) return error.reason === 'STORAGE_UNREACHABLE';
  if (!(error instanceof ConnectError)) return false;
  return isSilence(error) || error.code === Code.Unauthenticated || error.code === Code.PermissionDenied;
}

function failureOfCall(error: ConnectError): Failure {
  const message = `${error.rawMessage} (${Code[error.code]})`;
  if (isSilence(error)) return { message: `no answer: ${message}`, toDo: silenceToDo(error) };
  if (isOfOtherServer(error)) return { message, toDo: CHECK_URL };
  switch (error.code) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return { message, toDo: 'check --user, and GATEWAY_TOKENS if the service wants a token' };
    case Code.InvalidArgument:
      return { message, toDo: 'change what the message names' };
    case Code.Unimplemented:
    case Code.NotFound:
      return { message, toDo: CHECK_URL };
    default:
      return { message, toDo: isRefusalOfS3(error) ? TELL_OPERATOR : RUN_AGAIN };
  }
}

function silenceToDo({ cause }: ConnectError): string {
  const { code = '' } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {};
  if (UNKNOWN_AUTHORITY.has(code)) {
    return "set NODE_EXTRA_CA_CERTS to the file of the authority that signed the service's certificate";
  }
  // The codes of Node's parser of HTTP begin with HPE.
  if (code.startsWith('HPE_'))
    return 'check --url: its port does not answer by HTTP; the port of gRPC is another one';
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return 'check --url: its port has no TLS; try http://';
  return 'start the service with npm start, or check --url';
}

/** An HTTP status such as 405 is no error of the service, because its errors have details. */
function isOfOtherServer({ code, details }: ConnectError): boolean {
  return details.length === 0 && (code === Code.Unknown || code === Code.Internal);
}

/** Whether S3 refuses the service itself. Until an operator has removed the reason, the same command fails again. */
function isRefusalOfS3(error: ConnectError): boolean {
  return error.findDetails(ErrorInfoSchema).some(({ reason }) => reason === 'STORAGE_REFUSED');
}

/**
 * An error of the service has details with its reason. So the code Unavailable without details means that the
 * service did not answer.
 */
function isSilence(error: ConnectError): boolean {
  return error.code === Code.Unavailable && error.details.length === 0;
}
