import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

const DETAILS = [ErrorInfoSchema, BadRequestSchema, RetryInfoSchema];
const TYPE_URL = 'type.googleapis.com/';

/**
 * Parses the output of `grpcurl -format-error`: a google.rpc.Status whose details are JSON with their type.
 */
export function fromGrpcurl(printed: string): ConnectError {
  const status = JSON.parse(printed) as { code: Code; message: string; details?: JsonObject[] };
  const error = new ConnectError(status.message, status.code);
  for (const { '@type': typeUrl, ...value } of status.details ?? []) {
    const desc = DETAILS.find(({ typeName }) => typeUrl === `${TYPE_URL}${typeName}`);
    if (desc === undefined) throw new Error(`an unknown detail ${typeUrl}`);
    error.details.push({ desc, value: fromJson(desc, value satisfies JsonValue) });
  }
  return error;
}

/**
 * Parses the errors of `buf curl`, which are Connect's JSON with every protocol: each detail is a type and
 * bytes.
 */
export function fromBufCurl(printed: string): ConnectError {
  const status = JSON.parse(printed) as {
    code: string;
    message: string;
    details?: { type: string; value: string }[];
  };
  const error = new ConnectError(status.message, codeOf(status.code));
  for (const { type, value } of status.details ?? []) {
    error.details.push({ type, value: base64Decode(value) });
  }
  return error;
}

function codeOf(snakeCase: string): Code {
  const name = snakeCase.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const code = Code[name as keyof typeof Code];
  if (code === undefined) throw new Error(`an unknown code ${snakeCase}`);
  return code;
}
