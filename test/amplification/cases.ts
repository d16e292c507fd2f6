import type { DescMethod } from '@bufbuild/protobuf';
import { binaryMessages } from './binary-messages.ts';
import type { Encoding } from './encodings.ts';
import { jsonMessages } from './json-messages.ts';
import type { WorstCase } from './message.ts';
import { methodsOf, nameOf, type Port } from './methods.ts';
import { PROTOCOLS, type Protocol } from './protocols.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A method's messages end at one of these limits; an envelope and a rounding stay below it. */
const BELOW_LIMIT_BYTES = 64;

/** The limits of messages after decompression. Every method is tried at each: the larger one is for part MD5s alone. */
export const LIMITS_BYTES = {
  binary: [16 * KIB, 192 * KIB],
  JSON: [16 * KIB, 288 * KIB],
} as const;

/** Beyond every limit: it has to be refused before anything is made of it. */
const BEYOND_LIMITS_BYTES = MIB;

/** What compresses to a thousandth (gzip) or less (brotli). */
const BOMB_BYTES = 64 * MIB;

/** One request, of which nothing is made yet. */
export interface Case {
  readonly method: DescMethod;
  readonly protocol: Protocol;
  readonly encoding: Encoding;
  readonly message: WorstCase;
  /** Before it is compressed. */
  readonly sizeBytes: number;
}

/** A method over one of its protocols: a row of the table. */
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

/** Each message in each encoding and size; small ones first, so that a run can stop before a large one does harm. */
export function casesOf({ method, protocol }: Route): Case[] {
  const messages = protocol.format === 'JSON' ? jsonMessages(method.input) : binaryMessages(method.input);
  const sizes = [...limitsOf(protocol), BEYOND_LIMITS_BYTES];
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

/** White space is nothing in JSON; in binary it is a field that nobody knows. */
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

/** Kilobytes on the wire that are larger than every limit: the worst that there is, for each byte sent. */
export function isSmallBomb({ encoding, sizeBytes }: Case): boolean {
  return encoding !== 'identity' && sizeBytes === BEYOND_LIMITS_BYTES;
}

/** Of each route's other cases, in the short form. */
const FURTHER_CASES = 8;

/**
 * For the short form: every message once at the smallest limit, and what is quadratic also at the larger one, where it
 * shows; the protocols of one format take turns with them. And some of all the others.
 */
export function fewCasesOf(route: Route): Case[] {
  const all = casesOf(route);
  const [smallestBytes, largerBytes] = limitsOf(route.protocol);
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

function limitsOf({ format }: Protocol): number[] {
  return LIMITS_BYTES[format].map((limit) => limit - BELOW_LIMIT_BYTES);
}

/** So many of them, evenly spread; another seed takes others, and the same seed the same ones. */
export function sample<Item>(items: readonly Item[], count: number, seed: number): Item[] {
  if (count >= items.length) return [...items];
  const step = items.length / count;
  // By the golden ratio: the samples of successive seeds go evenly through all places.
  const offset = ((seed * 0.618_034) % 1) * step;
  return Array.from({ length: count }, (_, index) => items[Math.floor(offset + index * step)] as Item);
}
