import { create, equals } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { expect, vi } from 'vitest';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
  FileChange,
} from '../../../gen/files/v1/file_events_service_pb.ts';
import { FileState } from '../../../gen/files/v1/file_pb.ts';
import { newUser } from '../../harness/random.ts';
import type { ServiceProcess } from '../../harness/service-process.ts';
import { upload } from '../../harness/upload.ts';
import type { RunningConsumer } from './start-consumer.ts';

/** The time of a delivery after a failed one, which is about a second, and what a busy machine adds to it. */
const WAIT = { timeout: 15_000, interval: 20 };

/** Runs the flow of README.md, and a delete. */
export async function expectReadyAndDeleted(
  service: ServiceProcess,
  consumer: RunningConsumer,
): Promise<void> {
  const [user, beganMs] = [newUser(), Date.now()];
  const client = service.client({ 'x-user-id': user });
  const s3Key = await upload(client, 'report.txt', `the report of ${user}`);
  const { files } = await client.listFiles({});
  const { file } = await client.getFile({ s3Key });
  expect(files).toEqual([file]);

  const ready = await delivered(consumer, s3Key, FileChange.READY);
  expectFields(ready, { userId: user, change: FileChange.READY, file }, beganMs);

  await client.deleteFile({ s3Key });
  const deleted = await delivered(consumer, s3Key, FileChange.DELETED);
  const left = file && { ...file, filename: '', state: FileState.UNSPECIFIED };
  expectFields(deleted, { userId: user, change: FileChange.DELETED, file: left }, beganMs);
  expect(deleted.eventId).not.toBe(ready.eventId);
  expect(deleted.revision).toBeGreaterThan(ready.revision);

  expect(distinct(deliveriesOf(consumer, s3Key))).toEqual([ready, deleted]);
}

/** The consumer answers the first delivery of each event of this file with an error. */
export async function expectAgainAfterError(
  service: ServiceProcess,
  consumer: RunningConsumer,
): Promise<void> {
  const client = service.client({ 'x-user-id': newUser() });
  const s3Key = await upload(client, 'refuse-once.txt', 'the consumer refuses this file once');
  await client.listFiles({});
  await vi.waitFor(() => expect(deliveriesOf(consumer, s3Key).length).toBeGreaterThan(1), WAIT);
  expect(distinct(deliveriesOf(consumer, s3Key))).toEqual([
    expect.objectContaining({ change: FileChange.READY }),
  ]);
}

function deliveriesOf(consumer: RunningConsumer, s3Key: string): DeliverFileEventRequest[] {
  return consumer.deliveries().filter(({ file }) => file?.s3Key === s3Key);
}

function delivered(
  consumer: RunningConsumer,
  s3Key: string,
  change: FileChange,
): Promise<DeliverFileEventRequest> {
  return vi.waitUntil(
    () => deliveriesOf(consumer, s3Key).find((delivery) => delivery.change === change),
    WAIT,
  ) as Promise<DeliverFileEventRequest>;
}

/** An event may be delivered more than once. */
function distinct(deliveries: readonly DeliverFileEventRequest[]): DeliverFileEventRequest[] {
  const isFirst = (one: DeliverFileEventRequest, index: number) =>
    deliveries.findIndex((other) => equals(DeliverFileEventRequestSchema, one, other)) === index;
  return deliveries.filter(isFirst);
}

/** Compares all fields. The service chooses three of them. */
function expectFields(
  delivery: DeliverFileEventRequest,
  known: Pick<DeliverFileEventRequest, 'userId' | 'change' | 'file'>,
  beganMs: number,
): void {
  const { eventId, revision, eventTime } = delivery;
  expect(delivery).toEqual(
    create(DeliverFileEventRequestSchema, { ...known, eventId, revision, ...(eventTime && { eventTime }) }),
  );
  expect(eventId).toMatch(/^[\x21-\x7e]{1,300}$/);
  expect(revision).toBeGreaterThan(0n);
  expect(revision).toBeLessThan(2n ** 53n);
  const timeMs = eventTime ? timestampMs(eventTime) : 0;
  expect(timeMs).toBeGreaterThan(beganMs - CLOCK_DIFFERENCE_MS);
  expect(timeMs).toBeLessThan(Date.now() + CLOCK_DIFFERENCE_MS);
}

/** The clock of Postgres is that of this machine, or of a machine nearby. */
const CLOCK_DIFFERENCE_MS = 1_000;
