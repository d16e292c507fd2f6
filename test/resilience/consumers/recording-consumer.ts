import { status } from '@grpc/grpc-js';
import { startGrpcConsumer } from '../../events/grpc-consumer.ts';
import { startHttpConsumer } from '../../events/http-consumer.ts';
import { startFaultProxy } from '../../harness/fault-proxy.ts';

export type Protocol = 'HTTP' | 'gRPC';

/** A consumer that remembers the keys that it has taken, in the order of their arrival. It begins as away. */
interface RecordingConsumer extends AsyncDisposable {
  readonly url: URL;
  readonly keys: readonly string[];
  /** How often it has refused an event. */
  readonly refused: number;
  comeBack(): Promise<void>;
}

interface RecordingOptions {
  /** The keys of events that the consumer never takes. */
  isRefused?: (s3Key: string) => boolean;
  /** The pause before each answer. */
  answerMs?: number;
}

export async function startRecordingConsumer(
  protocol: Protocol,
  { isRefused = () => false, answerMs = 0 }: RecordingOptions = {},
): Promise<RecordingConsumer> {
  const keys: string[] = [];
  let refused = 0;
  function take(s3Key: string): boolean {
    if (isRefused(s3Key)) {
      refused++;
      return false;
    }
    keys.push(s3Key);
    return true;
  }
  const after = (answer: () => void) => (answerMs === 0 ? answer() : setTimeout(answer, answerMs));
  const consumer = await (protocol === 'HTTP'
    ? startHttpConsumer(({ headers }, response) => {
        const code = take(String(headers['ce-subject'])) ? 200 : 500;
        after(() => response.writeHead(code).end());
      })
    : startGrpcConsumer(({ message }, answer) => {
        const code = take(message.file?.s3Key ?? '') ? status.OK : status.INTERNAL;
        after(() => answer(code));
      }));
  const proxy = await startFaultProxy({ port: Number(consumer.url.port) });
  await proxy.set({ kind: 'refused' });
  const url = new URL(consumer.url);
  url.port = String(proxy.port);
  return {
    url,
    keys,
    get refused() {
      return refused;
    },
    comeBack: () => proxy.set({ kind: 'none' }),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await consumer[Symbol.asyncDispose]();
    },
  };
}
