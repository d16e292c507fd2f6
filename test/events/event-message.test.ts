import { readFile } from 'node:fs/promises';
import { create, toBinary, toJson } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { DeliverFileEventRequestSchema, FileChange } from '../../gen/files/v1/file_events_service_pb.ts';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { oldestInTurns } from '../../src/events/due-events.ts';
import { eventToProto } from '../../src/events/event-message.ts';
import { cloudEventHeaders } from '../../src/events/transports/cloud-event.ts';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { fileToProto } from '../../src/rpc/to-proto.ts';
import { sampleEvent } from './sample.ts';

describe('the message of an event', () => {
  it('has for READY the file as GetFile answers', () => {
    const { file, userId } = sampleEvent();
    const ready = { ...file, userId, state: 'ready', verifiedAt: new Date(), isFresh: true };
    expect(eventToProto(sampleEvent()).file).toEqual(fileToProto(ready as never));
  });

  it('has the id of its revision, the user, the change and the time', () => {
    const event = sampleEvent({ change: 'lost' });
    expect(eventToProto(event)).toMatchObject({
      eventId: `alice_report.pdf:${event.revision}`,
      userId: 'alice',
      change: FileChange.LOST,
      revision: BigInt(event.revision),
      eventTime: { seconds: 1_795_752_001n, nanos: 123_000_000 },
    });
  });

  it('has no state unless the file is READY, and no size if it never was', () => {
    for (const change of ['deleted', 'lost', 'expired'] as const) {
      expect(eventToProto(sampleEvent({ change })).file?.state).toBe(FileState.UNSPECIFIED);
    }
    const { size, etag, lastModified, ...never } = sampleEvent().file;
    const { file } = eventToProto(sampleEvent({ change: 'deleted', file: never }));
    expect([file?.size, file?.etag, file?.lastModified]).toEqual([0n, '', undefined]);
  });

  it('has at most 8 KiB, and its id at most 300 bytes of ASCII', () => {
    const userId = '~'.repeat(255);
    const filename = '\u{1f600}'.repeat(255);
    const key = s3Key('~'.repeat(42), filename.repeat(3), 'abcdefgh');
    const file = { ...sampleEvent().file, s3Key: key, filename, mimeType: `a/${'x'.repeat(253)}` };
    const message = eventToProto(
      sampleEvent({ userId, s3Key: key, file, revision: Number.MAX_SAFE_INTEGER }),
    );
    expect(toBinary(DeliverFileEventRequestSchema, message).length).toBeLessThan(8 * 1024);
    expect(message.eventId).toMatch(/^[\x21-\x7e]{1,300}$/);
  });
});

it('proto/EVENTS.md shows the JSON of a deleted file', async () => {
  const document = await readFile(new URL('../../proto/EVENTS.md', import.meta.url), 'utf8');
  const [, shown = ''] = document.match(/<!-- event: deleted -->\n```json\n([\s\S]*?)```/) ?? [];
  const { file, ...event } = sampleEvent({ change: 'deleted' });
  const { filename, ...deleted } = file;
  const message = eventToProto({ ...event, file: { ...deleted, filename: '' } });
  expect(JSON.parse(shown)).toEqual(toJson(DeliverFileEventRequestSchema, message));
});

it('each change has a type of CloudEvents', () => {
  const typeOf = (change: FileChange) =>
    cloudEventHeaders(create(DeliverFileEventRequestSchema, { change }))['ce-type'];
  expect([FileChange.READY, FileChange.DELETED, FileChange.LOST, FileChange.EXPIRED].map(typeOf)).toEqual([
    'files.v1.FileEvent.ready',
    'files.v1.FileEvent.deleted',
    'files.v1.FileEvent.lost',
    'files.v1.FileEvent.expired',
  ]);
});

it('events are delivered oldest first between users in turn', () => {
  const event = (userId: string, revision: number) => sampleEvent({ userId, revision });
  const leased = [event('a', 3), event('b', 9), event('a', 1), event('c', 4), event('a', 2), event('b', 5)];
  expect(oldestInTurns(leased).map(({ userId, revision }) => `${userId}${revision}`)).toEqual([
    'a1',
    'c4',
    'b5',
    'a2',
    'b9',
    'a3',
  ]);
});
