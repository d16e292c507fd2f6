import {
  createRegistry,
  type DescFile,
  type DescService,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import { file_files_v1_error_reason } from '../../gen/files/v1/error_reason_pb.ts';
import { file_google_rpc_error_details } from '../../gen/google/rpc/error_details_pb.ts';
import {
  type ServerReflectionRequest as RequestV1,
  type ServerReflectionResponseSchema as ResponseV1Schema,
  ServerReflection as ServerReflectionV1,
} from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { overloaded } from './errors.ts';

type Question = RequestV1['messageRequest'];
type Answer = NonNullable<MessageInitShape<typeof ResponseV1Schema>['messageResponse']>;

/**
 * How many questions one stream answers. grpcurl and buf curl ask fewer than thirty to read the whole
 * contract.
 */
const QUESTIONS_MAX = 100;

/**
 * The maximum length of a name in a question. No name in the contract is longer. Each answer repeats its
 * question, so long names would make long answers.
 */
const NAME_MAX_CHARACTERS = 512;

/** Files that no service imports, but that clients need: the error reasons and the error details. */
const FURTHER_FILES = [file_files_v1_error_reason, file_google_rpc_error_details];

/**
 * Creates gRPC server reflection from the descriptors of protobuf-es, for grpcurl and buf curl. The package
 * @grpc/reflection was rejected, because it builds its own descriptors, in which buf curl finds no service.
 *
 * @param services the services of the server, without reflection itself
 */
export function createReflection(services: readonly DescService[]) {
  const answer = createAnswer([...services, ServerReflectionV1, ServerReflectionV1Alpha]);
  const v1: ServiceImpl<typeof ServerReflectionV1> = {
    async *serverReflectionInfo(requests) {
      let questions = 0;
      for await (const request of requests) {
        if (++questions > QUESTIONS_MAX) {
          throw overloaded(`a stream answers at most ${QUESTIONS_MAX} questions; open another stream`);
        }
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(request.messageRequest),
        };
      }
    },
  };
  // The messages of v1 and v1alpha differ only in their package name. TypeScript sees two types, but v1
  // objects work for both: the schema of the called method decides how a message is encoded.
  return { v1, v1alpha: v1 as unknown as ServiceImpl<typeof ServerReflectionV1Alpha> };
}

function createAnswer(services: readonly DescService[]): (question: Question) => Answer {
  const files = withDependencies([...services.map((service) => service.file), ...FURTHER_FILES]);
  const filesByName = new Map(files.map((file) => [file.proto.name, file]));
  const registry = createRegistry(...files);

  /** Returns the file of a symbol. A symbol names a type, or a field, value or method of a type. */
  function fileOf(symbol: string): DescFile | undefined {
    const name = symbol.replace(/^\./, '');
    return (registry.get(name) ?? registry.get(name.slice(0, Math.max(0, name.lastIndexOf('.')))))?.file;
  }

  return (question) => {
    if (isTooLong(question)) {
      return failure(Code.InvalidArgument, `the name is longer than ${NAME_MAX_CHARACTERS} characters`);
    }
    switch (question.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: { service: services.map(({ typeName }) => ({ name: typeName })) },
        };
      case 'fileByFilename':
        return descriptors(filesByName.get(question.value), question.value);
      case 'fileContainingSymbol':
        return descriptors(fileOf(question.value), question.value);
      case 'fileContainingExtension':
        // No contract here has extensions.
        return notFound(question.value.containingType);
      case 'allExtensionNumbersOfType':
        return registry.getMessage(question.value) === undefined
          ? notFound(question.value)
          : { case: 'allExtensionNumbersResponse', value: { baseTypeName: question.value } };
      case undefined:
        return failure(Code.InvalidArgument, 'message_request is required');
    }
  };
}

/** Returns the files and all their imports. Each file is listed once and after its imports. */
function withDependencies(files: readonly DescFile[], seen = new Set<DescFile>()): DescFile[] {
  return files.flatMap((file) => {
    if (seen.has(file)) return [];
    seen.add(file);
    return [...withDependencies(file.dependencies, seen), file];
  });
}

/**
 * For each file, the encoded descriptors of the file and its imports, up to 36 kB. They are encoded once and
 * used for all answers.
 */
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
  return failure(Code.NotFound, `not found: ${name}`);
}

function failure(errorCode: Code, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}
