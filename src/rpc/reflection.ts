import {
  createRegistry,
  type DescFile,
  type DescService,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { file_files_v1_error_reason } from '../../gen/files/v1/error_reason_pb.ts';
import { file_google_rpc_error_details } from '../../gen/google/rpc/error_details_pb.ts';
import {
  type ServerReflectionRequest as RequestV1,
  type ServerReflectionResponseSchema as ResponseV1Schema,
  ServerReflection as ServerReflectionV1,
} from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';

type Question = RequestV1['messageRequest'];
type Answer = NonNullable<MessageInitShape<typeof ResponseV1Schema>['messageResponse']>;

export interface Reflection {
  v1: ServiceImpl<typeof ServerReflectionV1>;
  v1alpha: ServiceImpl<typeof ServerReflectionV1Alpha>;
}

/** Of one stream. grpcurl and buf curl ask fewer than thirty for all that is here. */
const QUESTIONS_MAX = 100;

/** Longer names are none, and an answer repeats the question. */
const NAME_MAX_CHARACTERS = 512;

/** What can be asked for beside what the services need: the reasons, and what errors carry. */
const FURTHER_FILES = [file_files_v1_error_reason, file_google_rpc_error_details];

/**
 * Server reflection from protobuf-es's own descriptors, for grpcurl and buf curl.
 * The package @grpc/reflection makes descriptors anew, and buf curl finds no
 * service in those.
 *
 * @param services what the wire offers beside reflection itself
 */
export function createReflection(services: readonly DescService[]): Reflection {
  const offered = [...services, ServerReflectionV1, ServerReflectionV1Alpha];
  const allFiles = withDependencies([...offered.map((service) => service.file), ...FURTHER_FILES]);
  const filesByName = new Map(allFiles.map((file) => [file.proto.name, file]));
  const registry = createRegistry(...allFiles);

  function answer(question: Question): Answer {
    if (isTooLong(question)) {
      return {
        case: 'errorResponse',
        value: {
          errorCode: Code.InvalidArgument,
          errorMessage: `names have at most ${NAME_MAX_CHARACTERS} characters`,
        },
      };
    }
    switch (question.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: { service: offered.map(({ typeName }) => ({ name: typeName })) },
        };
      case 'fileByFilename':
        return descriptors(filesByName.get(question.value), question.value);
      case 'fileContainingSymbol':
        return descriptors(fileOf(question.value), question.value);
      case 'fileContainingExtension':
        // The contracts here extend nothing.
        return notFound(question.value.containingType);
      case 'allExtensionNumbersOfType':
        return registry.getMessage(question.value) === undefined
          ? notFound(question.value)
          : { case: 'allExtensionNumbersResponse', value: { baseTypeName: question.value } };
      case undefined:
        return {
          case: 'errorResponse',
          value: { errorCode: Code.InvalidArgument, errorMessage: 'message_request is required' },
        };
    }
  }

  /** A symbol is a type, or a field, value or method of one. */
  function fileOf(symbol: string): DescFile | undefined {
    const name = symbol.replace(/^\./, '');
    return (registry.get(name) ?? registry.get(name.slice(0, Math.max(0, name.lastIndexOf('.')))))?.file;
  }

  const v1: ServiceImpl<typeof ServerReflectionV1> = {
    async *serverReflectionInfo(requests) {
      let questions = 0;
      for await (const request of requests) {
        if (++questions > QUESTIONS_MAX) {
          throw new ConnectError(
            `a stream answers ${QUESTIONS_MAX} questions; open another`,
            Code.ResourceExhausted,
          );
        }
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(request.messageRequest),
        };
      }
    },
  };
  // Only the package's name tells them apart, and only in TypeScript's eyes: a
  // message is encoded by its schema.
  return { v1, v1alpha: v1 as unknown as ServiceImpl<typeof ServerReflectionV1Alpha> };
}

/** Each file once, behind those that it imports. */
function withDependencies(files: readonly DescFile[], seen = new Set<DescFile>()): DescFile[] {
  return files.flatMap((file) => {
    if (seen.has(file)) return [];
    seen.add(file);
    return [...withDependencies(file.dependencies, seen), file];
  });
}

/** Encoded once for all answers: up to 36 kB each. */
const encodedFiles = new WeakMap<DescFile, Uint8Array[]>();

function descriptors(file: DescFile | undefined, name: string): Answer {
  if (file === undefined) return notFound(name);
  let fileDescriptorProto = encodedFiles.get(file);
  if (fileDescriptorProto === undefined) {
    fileDescriptorProto = withDependencies([file]).map(({ proto }) =>
      toBinary(FileDescriptorProtoSchema, proto),
    );
    encodedFiles.set(file, fileDescriptorProto);
  }
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function isTooLong({ case: kind, value }: Question): boolean {
  const name = kind === 'fileContainingExtension' ? value.containingType : value;
  return typeof name === 'string' && name.length > NAME_MAX_CHARACTERS;
}

function notFound(name: string): Answer {
  return { case: 'errorResponse', value: { errorCode: Code.NotFound, errorMessage: `not found: ${name}` } };
}
