import { join } from 'node:path';
import { fromJson } from '@bufbuild/protobuf';
import { DeliverFileEventRequestSchema } from '../../../gen/files/v1/file_events_service_pb.ts';
import { describeConsumer } from './describe-consumer.ts';

await describeConsumer({
  name: 'Express with the package cloudevents',
  missing: async () => undefined,
  build: async () => ({
    command: [process.execPath, join(import.meta.dirname, 'express/main.js')],
    options: { cwd: import.meta.dirname, env: { PATH: process.env.PATH } },
    async [Symbol.asyncDispose]() {},
  }),
  eventsUrl: (port) => `http://127.0.0.1:${port}/file-events`,
  parse: (line) => fromJson(DeliverFileEventRequestSchema, JSON.parse(line).data),
});
