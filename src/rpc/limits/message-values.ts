import { BinaryReader } from '@bufbuild/protobuf/wire';
import { Code, ConnectError } from '@connectrpc/connect';
import { MESSAGE_MAX_BYTES, type MessageEncoding } from './message-limits.ts';

/**
 * The values of a large message: more than the MD5s of 10,000 parts and the other fields. A message of
 * PARTS_MESSAGE_MAX_BYTES has room for 10,922 MD5s, so only values that are no MD5s exceed this limit, and
 * 10,001 MD5s still get the error that names their field.
 */
const VALUES_MAX = 11_000;

/**
 * Refuses a message of more values than any honest message has, before it is decoded. A decoded value takes
 * 200 bytes, and an empty value is sent in 2 bytes: a message of 192 KiB of empty MD5s became 20 MB of
 * objects, and a hundred of them let V8 keep 70 MB more for the rest of the process.
 *
 * @throws ConnectError INVALID_ARGUMENT
 */
export function refuseManyValues(message: Uint8Array, encoding: MessageEncoding): void {
  if (message.length <= MESSAGE_MAX_BYTES) return;
  const hasMany = encoding === 'json' ? hasManyCommas(message) : hasManyFields(message);
  if (hasMany) {
    throw new ConnectError(`the request message has more than ${VALUES_MAX} values`, Code.InvalidArgument);
  }
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
    // The decoder gives the error for a malformed message.
  }
  return false;
}

/** In JSON a comma precedes each value but the first of an array or object. */
function hasManyCommas(message: Uint8Array): boolean {
  let commas = 0;
  for (let at = message.indexOf(COMMA); at !== -1; at = message.indexOf(COMMA, at + 1)) {
    if (++commas > VALUES_MAX) return true;
  }
  return false;
}

const COMMA = ','.charCodeAt(0);
