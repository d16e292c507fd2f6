import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflection as V1,
} from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as V1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { waitFor } from '../harness/wait-for.ts';

const service = forAllTests(() => startTestService());

type Question = ServerReflectionRequest['messageRequest'];
type Answer = ServerReflectionResponse['messageResponse'];

const TRANSPORTS = {
  gRPC: () => createGrpcTransport({ baseUrl: service.grpcUrl }),
  Connect: () => createConnectTransport({ baseUrl: service.httpUrl, httpVersion: '2' }),
};

/** The error of a stream above the limit of its connection. A Connect client reads only the status of HTTP. */
const REFUSED = { code: Code.ResourceExhausted, rawMessage: 'a connection may have at most 4 open streams' };

/** Sends all questions on one stream, as grpcurl does. */
async function ask(
  protocol: keyof typeof TRANSPORTS,
  version: typeof V1 | typeof V1Alpha,
  questions: Question[],
  host = 'h',
) {
  const client = createClient(version as typeof V1, TRANSPORTS[protocol]());
  async function* requests() {
    for (const messageRequest of questions) yield { host, messageRequest };
  }
  const answers: Answer[] = [];
  for await (const { messageResponse } of client.serverReflectionInfo(requests()))
    answers.push(messageResponse);
  return answers;
}

const filesOf = (answer: Answer | undefined) =>
  answer?.case === 'fileDescriptorResponse'
    ? answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name)
    : answer;

describe.each([
  ['gRPC', 'v1', V1],
  ['gRPC', 'v1alpha', V1Alpha],
  ['Connect', 'v1', V1],
  ['Connect', 'v1alpha', V1Alpha],
] as const)('over %s, %s', (protocol, _, version) => {
  it('lists exactly the services of this port', async () => {
    const [answer] = await ask(protocol, version, [{ case: 'listServices', value: '' }]);
    const names = answer?.case === 'listServicesResponse' ? answer.value.service.map(({ name }) => name) : [];
    expect(names.sort()).toEqual(
      [
        'files.v1.FileService',
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
      ].sort(),
    );
  });

  it.each([
    'files.v1.FileService',
    'files.v1.FileService.ListFiles',
    'files.v1.File',
    'files.v1.File.s3_key',
    'files.v1.ErrorReason',
    'google.rpc.ErrorInfo',
    '.files.v1.File',
  ])('returns the file of %s with its imports', async (symbol) => {
    const [answer] = await ask(protocol, version, [{ case: 'fileContainingSymbol', value: symbol }]);
    const files = filesOf(answer);
    expect(files).toEqual(expect.arrayContaining([expect.stringMatching(/\.proto$/)]));
    if (symbol.includes('FileService')) {
      // The reasons come with the service file, also to a client that generates code of that file only.
      expect(files).toEqual([
        'files/v1/error_reason.proto',
        'google/protobuf/timestamp.proto',
        'files/v1/file.proto',
        'google/protobuf/any.proto',
        'google/rpc/status.proto',
        'files/v1/file_service.proto',
      ]);
    }
  });

  it('answers several questions on one stream, in order', async () => {
    const answers = await ask(protocol, version, [
      { case: 'fileByFilename', value: 'files/v1/file.proto' },
      { case: 'fileContainingSymbol', value: 'no.such.Thing' },
      { case: 'allExtensionNumbersOfType', value: 'files.v1.File' },
      { case: 'fileByFilename', value: 'no/such.proto' },
    ]);
    expect(answers.map((answer) => answer.case)).toEqual([
      'fileDescriptorResponse',
      'errorResponse',
      'allExtensionNumbersResponse',
      'errorResponse',
    ]);
    expect(answers[1]?.value).toMatchObject({ errorCode: 5, errorMessage: 'not found: no.such.Thing' });
  });

  it('ends a stream on which a client has sent more than 16 KiB', async () => {
    const questions = (count: number): Question[] =>
      Array.from({ length: count }, () => ({ case: 'listServices', value: '' }));
    const host = 'h'.repeat(5_000);
    expect(await ask(protocol, version, questions(3), host)).toHaveLength(3);
    await expect(ask(protocol, version, questions(4), host)).rejects.toThrow(
      protocol === 'gRPC' ? /ENHANCE_YOUR_CALM/ : /larger than 16384 bytes/,
    );
  });

  it('refuses a fifth open stream of one connection until another stream has ended', async () => {
    const client = createClient(version as typeof V1, TRANSPORTS[protocol]());
    const openStream = async () => {
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      async function* requests() {
        yield { host: 'h', messageRequest: { case: 'listServices' as const, value: '' } };
        await ended;
      }
      const answers = client.serverReflectionInfo(requests())[Symbol.asyncIterator]();
      await answers.next();
      return async () => {
        end();
        expect(await answers.next()).toMatchObject({ done: true });
      };
    };
    const [endFirst, ...endOthers] = await Promise.all(Array.from({ length: 4 }, openStream));
    await expect(openStream()).rejects.toMatchObject(REFUSED);
    await endFirst?.();
    endOthers.push(await waitFor(openStream));
    for (const endStream of endOthers) await endStream();
  });
});
