import { create } from '@bufbuild/protobuf';
import { timestampNow } from '@bufbuild/protobuf/wkt';
import { describe, expect, test, vi } from 'vitest';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
  FileChange,
} from '../../../gen/files/v1/file_events_service_pb.ts';
import { FileState } from '../../../gen/files/v1/file_pb.ts';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { md5, newUser } from '../../harness/random.ts';
import { BUILD_TIMEOUT_MS } from '../clients/build-client.ts';
import { describeWith } from '../describe-with.ts';
import { startInteropService } from '../service.ts';
import type { Consumer } from './consumer.ts';
import { deliver } from './deliver.ts';
import { expectAgainAfterError, expectReadyAndDeleted } from './expect-events.ts';
import { type RunningConsumer, startConsumer } from './start-consumer.ts';

/** The answers of gRPC, Connect and Express. */
const OK = ['OK', 200, 204];
const UNAUTHENTICATED = ['UNAUTHENTICATED', 401];

/** A line of a consumer arrives after its answer: at once, but later on a busy machine. */
const PRINTED = { timeout: 5_000 };

const EVENTS_TOKEN = 'the-token-of-the-events';

/** Runs the tests of a consumer, and those in `defineMore`. */
export async function describeConsumer(
  consumer: Consumer,
  defineMore: (running: RunningConsumer) => void = () => {},
): Promise<void> {
  describeWith(`a consumer: ${consumer.name}`, await consumer.missing(), () => {
    const built = forAllTests(consumer.build, BUILD_TIMEOUT_MS);
    const running = forAllTests(() => startConsumer(consumer, built, EVENTS_TOKEN));

    test('reads each field of an event', async () => {
      const event = newEvent();
      expect(await deliver(running.eventsUrl, EVENTS_TOKEN, event)).toBeOneOf(OK);
      await vi.waitFor(() => expect(running.deliveries()).toContainEqual(event), PRINTED);
    });

    test.each(['', 'another-token-of-the-events'])('refuses an event with the token "%s"', async (token) => {
      const [refused, taken] = [newEvent(), newEvent()];
      expect(await deliver(running.eventsUrl, token, refused)).toBeOneOf(UNAUTHENTICATED);
      expect(await deliver(running.eventsUrl, EVENTS_TOKEN, taken)).toBeOneOf(OK);
      await vi.waitFor(() => expect(running.deliveries()).toContainEqual(taken), PRINTED);
      expect(running.deliveries()).not.toContainEqual(refused);
    });

    test('refuses every event if it has no token itself', async () => {
      await using unset = await startConsumer(consumer, built, undefined);
      for (const token of ['', 'undefined', 'null', 'None']) {
        expect(await deliver(unset.eventsUrl, token, newEvent())).toBeOneOf(UNAUTHENTICATED);
      }
    });

    test('answers an error if it cannot handle an event', async () => {
      const event = newEvent('refuse-once.txt');
      expect(await deliver(running.eventsUrl, EVENTS_TOKEN, event)).toBeOneOf(['UNKNOWN', 'INTERNAL', 500]);
      expect(await deliver(running.eventsUrl, EVENTS_TOKEN, event)).toBeOneOf(OK);
    });

    describe('of the service', () => {
      const service = forAllTests(() => startInteropService({ EVENTS_URL: running.eventsUrl, EVENTS_TOKEN }));

      test('receives READY and DELETED for an upload, a list and a delete', () =>
        expectReadyAndDeleted(service, running));
      test('receives an event again that it answered with an error', () =>
        expectAgainAfterError(service, running));
      defineMore(running);
    });
  });
}

function newEvent(filename = 'report.txt'): DeliverFileEventRequest {
  const userId = newUser();
  const s3Key = `${userId}_${filename}`;
  const revision = BigInt(Date.now()) * 1_000n;
  return create(DeliverFileEventRequestSchema, {
    eventId: `${s3Key}:${revision}`,
    userId,
    change: FileChange.READY,
    file: {
      s3Key,
      filename,
      // More than a number of JavaScript holds exactly, which JSON writes as a string.
      size: 2n ** 53n + 1n,
      lastModified: timestampNow(),
      mimeType: 'text/plain',
      md5: md5(filename),
      etag: md5(filename, 'hex'),
      state: FileState.READY,
      createTime: timestampNow(),
    },
    revision,
    eventTime: timestampNow(),
  });
}
