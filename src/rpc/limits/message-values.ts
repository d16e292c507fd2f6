import { isUtf8 } from 'node:buffer';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { invalidRequest } from '../errors.ts';
import { MESSAGE_MAX_BYTES, type MessageEncoding } from './message-limits.ts';

/**
 * The number of values that a large message may have. The largest honest message has fewer: the MD5s of 10,000 parts
 * and a few other fields. In binary, only the values of the message itself count, not those of messages inside it,
 * because no list is inside a list. The limit of CreateMultipartUpload (`message-limits.ts`) has room for 10,922 MD5s,
 * so only values that are no MD5s exceed this limit. A message of 10,001 MD5s passes here, and later gets the error
 * that names its field.
 */
const VALUES_MAX = 11_000;

/**
 * The maximum size of a text between two quotes in a large JSON message, in bytes. The longest honest text is a
 * filename of 255 characters, which takes 3 kB if each character is escaped.
 */
const TEXT_MAX_BYTES = MESSAGE_MAX_BYTES;

const MANY_VALUES = `more than ${VALUES_MAX} values`;

/**
 * Refuses a message that must not be decoded: a message with too many values (`refuseManyValues`), and JSON that is not
 * UTF-8. connect-node would replace bytes that are not UTF-8, and so change a filename.
 *
 * @throws ConnectError INVALID_REQUEST
 */
export function refuseMessage(message: Uint8Array, encoding: MessageEncoding): void {
  if (encoding === 'json' && !isUtf8(message)) throw invalidRequest('the request is not UTF-8');
  refuseManyValues(message, encoding);
}

/**
 * Refuses a large message that would cost much to decode, before it is decoded:
 * - a message with more values than any honest message has. A decoded value takes 200 bytes of memory, but an empty
 *   value is sent in 2 bytes. So a message of 192 KiB of empty MD5s became 20 MB of objects. After a hundred such
 *   messages, V8 kept 70 MB more memory until the process ended.
 * - JSON with a longer text than any honest message has. The decoder converts the text of an int64 field to a number,
 *   and the time for this grows faster than the text: 768 KiB of digits blocked the event loop for 66 ms.
 *
 * @throws ConnectError INVALID_REQUEST
 */
export function refuseManyValues(message: Uint8Array, encoding: MessageEncoding): void {
  if (message.length <= MESSAGE_MAX_BYTES) return;
  const excess =
    encoding === 'json'
      ? excessOfJson(message, VALUES_MAX, TEXT_MAX_BYTES)
      : hasManyFields(message)
        ? MANY_VALUES
        : undefined;
  if (excess !== undefined) throw invalidRequest(`the request message has ${excess}`);
}

function hasManyFields(message: Uint8Array): boolean {
  const reader = new BinaryReader(message);
  try {
    for (let fields = 0; reader.pos < reader.len; fields++) {
      if (fields > VALUES_MAX) return true;
      const [number, wireType] = reader.tag();
      reader.skip(wireType, number);
    }
  } catch {
    // The message is malformed. It passes here, because the decoder reports the error.
  }
  return false;
}

/**
 * Scans a JSON message without parsing it. A bracket or brace precedes the first value of each array or object, and a
 * comma precedes each further value. A filename may contain these characters, so texts are skipped.
 *
 * @returns what the message has too much of; `undefined` if there is nothing
 */
export function excessOfJson(
  message: Uint8Array,
  valuesMax: number,
  textMaxBytes: number,
): string | undefined {
  let values = 0;
  let isText = false;
  let textFrom = 0;
  for (let at = 0; at < message.length; at++) {
    const character = message[at];
    if (isText && character === BACKSLASH) at++;
    else if (character === QUOTE) {
      if (isText && at - textFrom > textMaxBytes) return `a text of more than ${textMaxBytes} bytes`;
      isText = !isText;
      textFrom = at + 1;
    } else if (!isText && (character === COMMA || character === BRACKET || character === BRACE)) {
      if (++values > valuesMax) return `more than ${valuesMax} values`;
    }
  }
  return undefined;
}

const [COMMA, BRACKET, BRACE, QUOTE, BACKSLASH] = Buffer.from(',[{"\\');
