import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect, it } from 'vitest';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { SERVICES } from './methods.ts';

const service = forAllTests(() => startTestService());

/** The services that the port's reflection lists. */
async function servicesOf(transport: ReturnType<typeof createGrpcTransport>): Promise<string[]> {
  async function* question() {
    yield { messageRequest: { case: 'listServices', value: '' } as const };
  }
  const names: string[] = [];
  for await (const { messageResponse } of createClient(ServerReflection, transport).serverReflectionInfo(
    question(),
  )) {
    if (messageResponse.case === 'listServicesResponse')
      names.push(...messageResponse.value.service.map(({ name }) => name));
  }
  return names.sort();
}

const covered = (port: keyof typeof SERVICES) => SERVICES[port].map(({ typeName }) => typeName).sort();

it('the amplification tests cover every service of the gRPC port', async () => {
  expect(await servicesOf(createGrpcTransport({ baseUrl: service.grpcUrl }))).toEqual(covered('gRPC'));
});

it('the amplification tests cover every service of the HTTP port', async () => {
  const transport = createConnectTransport({ baseUrl: service.httpUrl, httpVersion: '2' });
  expect(await servicesOf(transport)).toEqual(covered('HTTP'));
});
