import type { DescMethod } from '@bufbuild/protobuf';
import { messageMaxBytes } from '../../src/rpc/limits/message-limits.ts';
import { binaryMessages } from './binary-messages.ts';
import type { Encoding } from './encodings.ts';
import { jsonMessages } from './json-messages.ts';
import type { WorstCase } from './message.ts';
import { methodsOf, nameOf, type Port } from './methods.ts';
import { PROTOCOLS, type Protocol } from './protocols.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** The distance of a message from its limit, for the envelope and for rounding. */
const BELOW_LIMIT_BYTES = 64;

/** The limit of most methods for a message after decompression. */
const SMALL_LIMIT_BYTES = 16 * KIB;

/**
 * Methods with the small limit are also tried with messages of this size, which they must refuse. Methods with lists
 * have larger limits.
 */
const LARGE_BYTES = 192 * KIB;

/** Beyond every limit, so the message must be refused before it is decoded. */
const BEYOND_LIMITS_BYTES = MIB;

/** The inflated size of a bomb, which compresses to a thousandth (gzip) or less (brotli). */
const BOMB_BYTES = 64 * MIB;

/** Describes one request, which is not encoded yet. */
export interface Case {
  readonly method: DescMethod;
  readonly protocol: Protocol;
  readonly encoding: Encoding;
  readonly message: WorstCase;
  /** The size before compression. */
  readonly sizeBytes: number;
}

/** A method over one protocol, which is a row of the table. */
export interface Route {
  readonly method: DescMethod;
  readonly protocol: Protocol;
}

export function routes(port?: Port): Route[] {
  return PROTOCOLS.filter((protocol) => port === undefined || protocol.port === port).flatMap((protocol) =>
    methodsOf(protocol.port).map((method) => ({ method, protocol })),
  );
}

export function nameOfRoute({ method, protocol }: Route): string {
  return `${nameOf(method)}, ${protocol.name}`;
}

/**
 * Each message in each encoding and size. Small sizes come first, so that a run can stop before a large one
 * does harm.
 */
export function casesOf({ method, protocol }: Route): Case[] {
  const messages = protocol.format === 'JSON' ? jsonMessages(method.input) : binaryMessages(method.input);
  const sizes = [...limitsOf({ method, protocol }), BEYOND_LIMITS_BYTES];
  const cases = sizes.flatMap((sizeBytes) =>
    protocol.encodings.flatMap((encoding) =>
      messages.map((message) => ({ method, protocol, encoding, message, sizeBytes })),
    ),
  );
  const bombs = protocol.encodings
    .filter((encoding) => encoding !== 'identity')
    .map((encoding) => ({ method, protocol, encoding, message: bomb(protocol), sizeBytes: BOMB_BYTES }));
  return [...cases, ...bombs];
}

/** In JSON the spaces are white space. In binary they are unknown fields. */
function bomb({ format }: Protocol): WorstCase {
  return {
    kind: 'nothing but spaces',
    encode: (sizeBytes) =>
      format === 'JSON' ? Buffer.alloc(sizeBytes, ' ') : Buffer.alloc(sizeBytes, '\x20\x20'),
  };
}

export function nameOfCase({ encoding, message, sizeBytes }: Case): string {
  const size = sizeBytes < MIB ? `${Math.ceil(sizeBytes / KIB)} KiB` : `${sizeBytes / MIB} MiB`;
  return `${encoding}, ${size}: ${message.kind}`;
}

/** A message of a few compressed kilobytes that is above every limit: the largest cost for each byte sent. */
export function isSmallBomb({ encoding, sizeBytes }: Case): boolean {
  return encoding !== 'identity' && sizeBytes === BEYOND_LIMITS_BYTES;
}

/** The number of other cases of each route in the short form. */
const FURTHER_CASES = 8;

/**
 * The cases of the short form: every message at the smallest limit, messages of quadratic cost also at the
 * larger limit, and a sample of all others. The protocols of a format share these messages: each message is
 * sent once.
 */
export function fewCasesOf(route: Route): Case[] {
  const all = casesOf(route);
  const [smallestBytes, largerBytes] = limitsOf(route);
  const isChosen = ({ encoding, sizeBytes, message }: Case) =>
    encoding === 'identity' &&
    (sizeBytes === smallestBytes || (sizeBytes === largerBytes && message.kind.includes('in bad order')));
  const sharing = PROTOCOLS.filter(
    ({ format, port }) => format === route.protocol.format && methodsOf(port).includes(route.method),
  );
  const turn = sharing.indexOf(route.protocol);
  return [
    ...all.filter(isChosen).filter((_, index) => index % sharing.length === turn),
    ...sample(
      all.filter((one) => !isChosen(one)),
      FURTHER_CASES,
      nameOfRoute(route).length,
    ),
  ];
}

function limitsOf({ method, protocol }: Route): number[] {
  const own = messageMaxBytes(method, protocol.format === 'JSON' ? 'json' : 'binary');
  return [SMALL_LIMIT_BYTES, Math.max(own, LARGE_BYTES)].map((limit) => limit - BELOW_LIMIT_BYTES);
}

/** A sample of evenly spread items. The seed decides which items. */
export function sample<Item>(items: readonly Item[], count: number, seed: number): Item[] {
  if (count >= items.length) return [...items];
  const step = items.length / count;
  // The golden ratio spreads the offsets of successive seeds evenly.
  const offset = ((seed * 0.618_034) % 1) * step;
  return Array.from({ length: count }, (_, index) => items[Math.floor(offset + index * step)] as Item);
}
