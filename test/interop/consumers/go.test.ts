import { go } from '../clients/languages/go.ts';
import { describeConsumer } from './describe-consumer.ts';
import { grpcConsumer } from './grpc-consumer.ts';

await describeConsumer(grpcConsumer(go, ['buf.gen.yaml', 'go.mod', 'go.sum']));
