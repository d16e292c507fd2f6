import { java } from '../clients/languages/java.ts';
import { describeConsumer } from './describe-consumer.ts';
import { grpcConsumer } from './grpc-consumer.ts';

await describeConsumer(grpcConsumer(java, ['pom.xml']));
