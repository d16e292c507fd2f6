import { join } from 'node:path';
import { fromJson } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DeliverFileEventRequestSchema } from '../../../gen/files/v1/file_events_service_pb.ts';
import { describeConsumer } from './describe-consumer.ts';

await describeConsumer(
  {
    name: 'Express with the package cloudevents',
    missing: async () => undefined,
    build: async () => ({
      command: [process.execPath, join(import.meta.dirname, 'express/main.js')],
      options: { cwd: import.meta.dirname, env: { PATH: process.env.PATH } },
      async [Symbol.asyncDispose]() {},
    }),
    eventsUrl: (port) => `http://127.0.0.1:${port}/file-events`,
    parse: (line) => fromJson(DeliverFileEventRequestSchema, JSON.parse(line).data),
  },
  (running) => {
    test('finds what it needs in the attributes of the CloudEvent, too', () => {
      const cloudEvents = running.lines().map((line) => JSON.parse(line));
      expect(cloudEvents.map(({ type }) => type)).toContain('files.v1.FileEvent.deleted');
      for (const { data, ...attributes } of cloudEvents) {
        expect(attributes).toEqual({
          specversion: '1.0',
          id: data.eventId,
          source: '/files.v1.FileService',
          type: `files.v1.FileEvent.${data.change.replace('FILE_CHANGE_', '').toLowerCase()}`,
          subject: data.file.s3Key,
          time: new Date(data.eventTime).toISOString(),
          datacontenttype: 'application/json',
        });
      }
    });
  },
);
