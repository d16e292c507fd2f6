import { join } from 'node:path';
import { python } from '../clients/languages/python.ts';
import { describeConsumer } from './describe-consumer.ts';
import { grpcConsumer } from './grpc-consumer.ts';

await describeConsumer(
  grpcConsumer({
    ...python,
    async build(directory) {
      const [program] = await python.build(directory);
      return [program, join(directory, 'consumer.py')];
    },
  }),
);
