import type { IncomingMessage, ServerResponse } from 'node:http';
import { ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../../../gen/google/rpc/error_details_pb.ts';
import type { SharedCapacity } from '../../../overload/shared-capacity.ts';
import type { TakeDecodeTurn } from '../../limits/decode-turns.ts';
import { excessOfJson } from '../../limits/message-values.ts';
import { BudgetShare, readWholeRequest } from '../../limits/whole-request.ts';

/**
 * The user in whose name the bytes of these requests are taken from the budget of all messages, and wait to be decoded.
 * No user of a call has this id, because no user id contains a space.
 */
const SENDER = 'json endpoint';

interface ReadJsonOptions {
  budget: SharedCapacity;
  takeDecodeTurn: TakeDecodeTurn;
  /** The maximum size of a body. */
  maxBytes: number;
  /** The maximum number of values in a message: decoding takes memory and time for each of them. */
  maxValues: number;
  onMessage: (message: unknown) => void;
  /** @param status of HTTP: 400, 413 or 503 */
  onRefused: (status: number, text: string) => void;
}

/**
 * Reads the body of a request, whose sender is known, and decodes it. Nothing of the body is decoded if it has too many
 * bytes or values.
 */
export function readJson(request: IncomingMessage, response: ServerResponse, options: ReadJsonOptions): void {
  const { budget, takeDecodeTurn, maxBytes, maxValues, onMessage, onRefused } = options;
  const refuseLarge = () => onRefused(413, `the body must have at most ${maxBytes} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
    refuseLarge();
    return;
  }
  const share = new BudgetShare(budget, SENDER);
  response.once('close', () => share.giveBack());
  const refuseForNow = () => {
    // The answer comes after a pause, in which the message takes no memory any more.
    share.giveBack();
    onRefused(503, 'the service has too many messages in memory');
  };
  const decode = (body: Buffer) => {
    const excess = excessOfJson(body, maxValues, maxBytes);
    if (excess !== undefined) return onRefused(413, `the message must not have ${excess}`);
    let message: unknown;
    try {
      message = JSON.parse(body.toString());
    } catch {
      return onRefused(400, 'the body is not JSON');
    }
    onMessage(message);
  };
  readWholeRequest(request, {
    maxBytes,
    messageMaxBytes: maxBytes,
    share,
    onWhole: (body) =>
      takeDecodeTurn({ userId: SENDER, bytes: body.length }, () => decode(body), refuseForNow),
    onError: (error) => (isForNow(error) ? refuseForNow() : refuseLarge()),
  });
}

/** Whether a request was refused because other messages take the memory; else its own body is too large. */
function isForNow(error: unknown): boolean {
  return ConnectError.from(error)
    .findDetails(ErrorInfoSchema)
    .some(({ reason }) => reason === 'OVERLOADED');
}
