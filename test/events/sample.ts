import type { FileEvent } from '../../src/files/ports/event-queue.ts';
import type { Fingerprint } from '../../src/files/rules/fingerprint.ts';
import { s3Key } from '../../src/files/rules/s3-key.ts';

/** An event as the store returns it. */
export function sampleEvent(changes: Partial<FileEvent> = {}): FileEvent {
  const key = changes.s3Key ?? s3Key('alice', 'report.pdf');
  return {
    userId: 'alice',
    s3Key: key,
    change: 'ready',
    file: {
      s3Key: key,
      filename: 'report.pdf',
      mimeType: 'application/pdf',
      fingerprint: '5d41402abc4b2a76b9719d911017c592' as Fingerprint,
      createTime: new Date('2026-11-27T04:00:00.000Z'),
      size: 5,
      etag: '5d41402abc4b2a76b9719d911017c592',
      lastModified: new Date('2026-11-27T04:00:01.000Z'),
    },
    revision: 1_795_752_001_123_456,
    changedAt: new Date('2026-11-27T04:00:01.123Z'),
    attempts: 0,
    ...changes,
  };
}
