import { typescript } from '../clients/languages/typescript.ts';
import { describeConsumer } from './describe-consumer.ts';
import { grpcConsumer } from './grpc-consumer.ts';

await describeConsumer({
  ...grpcConsumer(typescript, ['buf.gen.yaml', 'package.json', 'tsconfig.json']),
  name: 'a Connect server in TypeScript',
  eventsUrl: (port) => `http://127.0.0.1:${port}/files.v1.FileEventsService/DeliverFileEvent`,
});
