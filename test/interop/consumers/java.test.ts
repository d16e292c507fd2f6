import { fromBinary } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { DeliverFileEventRequestSchema } from '../../../gen/files/v1/file_events_service_pb.ts';
import { java } from '../clients/languages/java.ts';
import { describeConsumer } from './describe-consumer.ts';
import { grpcConsumer } from './grpc-consumer.ts';

await describeConsumer({
  ...grpcConsumer(java, ['pom.xml']),
  parse: (line) => fromBinary(DeliverFileEventRequestSchema, base64Decode(line)),
});
