import { join } from 'node:path';
import { create, fromJsonString, toJsonString } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { put } from '../harness/put.ts';
import { newUser } from '../harness/random.ts';
import { PROJECT, type ServiceProcess } from '../harness/service-process.ts';
import { output, run } from './command.ts';
import { fromBufCurl } from './error-details.ts';
import { expectFailuresWithDetails, expectWholeJourney, type Tool } from './journey.ts';
import { startInteropService } from './service.ts';

const BUF = join(PROJECT, 'node_modules/.bin/buf');

const PROTOCOLS = {
  grpc: (service: ServiceProcess) => ({
    base: `http://${service.grpc}`,
    flags: ['--protocol', 'grpc', '--http2-prior-knowledge'],
  }),
  grpcweb: (service: ServiceProcess) => ({ base: service.http, flags: ['--protocol', 'grpcweb'] }),
  connect: (service: ServiceProcess) => ({ base: service.http, flags: ['--protocol', 'connect'] }),
};

const SCHEMAS = {
  'by reflection': [],
  'by the protos': ['--schema', join(PROJECT, 'proto')],
};

const service = forAllTests(startInteropService);

describe.each(Object.entries(PROTOCOLS))('buf curl over %s', (_, protocolOf) => {
  describe.each(Object.entries(SCHEMAS))('%s', (_, schema) => {
    const tool: Tool = {
      async call(method, request, user) {
        const { base, flags } = protocolOf(service);
        const { code, stdout, stderr } = await run(BUF, [
          ...['curl', ...flags, ...schema],
          ...(user === undefined ? [] : ['-H', `x-user-id: ${user}`]),
          ...['-d', toJsonString(method.input, create(method.input, request))],
          `${base}/${method.parent.typeName}/${method.name}`,
        ]);
        if (code !== 0) throw fromBufCurl(stderr);
        return fromJsonString(method.output, stdout);
      },
      put: async (answer, bytes) => (await put(answer, bytes)).status,
      async get(url) {
        const response = await fetch(url);
        const disposition = response.headers.get('content-disposition') ?? '';
        return { status: response.status, disposition, bytes: await response.text() };
      },
    };

    test('lists the methods', async () => {
      const { base, flags } = protocolOf(service);
      const printed = await output(BUF, ['curl', ...flags, ...schema, '--list-methods', base]);
      const methods = FileService.methods.map(({ name }) => `files.v1.FileService/${name}`);
      expect(printed.trim().split('\n')).toEqual(expect.arrayContaining(methods));
    });

    test('uploads, lists, downloads and deletes a file', () => expectWholeJourney(tool, newUser()));
    test('prints the details of errors', () => expectFailuresWithDetails(tool, newUser()));
  });
});
