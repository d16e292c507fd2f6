import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { ALPHABETS, textOf } from './alphabets.ts';
import { type FieldPath, fieldPathsOf, innerMessage, nameOfField, type WorstCase } from './message.ts';

/** The wire types (protobuf.dev, "Message Structure"). */
const TYPE = { varint: 0, i64: 1, length: 2, groupStart: 3, groupEnd: 4, i32: 5 } as const;

/** Below the depth at which protobuf-es stops (100), so that all groups are decoded. */
const GROUPS_DEPTH = 90;

/** The longest varint, which encodes -1. */
const LONGEST_VARINT = Buffer.from([...Array.from({ length: 9 }, () => 0xff), 0x01]);

/** Worst cases of a message in protobuf's binary format: each fills the message with one kind of content. */
export function binaryMessages(message: DescMessage): WorstCase[] {
  return [
    { kind: 'nothing', encode: () => Buffer.alloc(0) },
    ...unknownFields(message),
    ...fieldPathsOf(message).flatMap((path) =>
      fullOf(path.field).map(({ kind, encode }) => ({
        kind: `${nameOfField(path)}: ${kind}`,
        encode: (sizeBytes: number) => wrap(path, encode(sizeBytes - path.around.length * 6)),
      })),
    ),
  ];
}

/** Unknown fields, each as short as its wire type allows, because decoders may keep an object for each. */
function unknownFields(message: DescMessage): WorstCase[] {
  const number = unusedNumber(message);
  const start = tag(number, TYPE.groupStart);
  const end = tag(number, TYPE.groupEnd);
  const nested = (depth: number) => Buffer.concat([times(start, depth), times(end, depth)]);
  const units: Record<string, Buffer> = {
    'unknown varints': Buffer.concat([tag(number, TYPE.varint), Buffer.alloc(1)]),
    'unknown fixed64s': Buffer.concat([tag(number, TYPE.i64), Buffer.alloc(8)]),
    'unknown fixed32s': Buffer.concat([tag(number, TYPE.i32), Buffer.alloc(4)]),
    'unknown empty strings': Buffer.concat([tag(number, TYPE.length), Buffer.alloc(1)]),
    'unknown empty groups': nested(1),
    'unknown groups in groups': nested(GROUPS_DEPTH),
  };
  return [
    ...Object.entries(units).map(([kind, unit]) => ({
      kind,
      encode: (sizeBytes: number) => filled(unit, sizeBytes),
    })),
    {
      kind: 'unknown groups in groups, without an end to their depth',
      encode: (sizeBytes) => nested(Math.floor(sizeBytes / (start.length + end.length))),
    },
    {
      kind: 'one long unknown string',
      encode: (sizeBytes) => long(number, Buffer.alloc(Math.max(0, sizeBytes - 8), 'a')),
    },
  ];
}

function fullOf(field: DescField): WorstCase[] {
  const empty = Buffer.concat([tag(field.number, TYPE.length), Buffer.alloc(1)]);
  const empties = { kind: 'empty, again and again', encode: (sizeBytes: number) => filled(empty, sizeBytes) };
  const inner = innerMessage(field);
  if (inner !== undefined) {
    const unknown = Buffer.concat([tag(unusedNumber(inner), TYPE.varint), Buffer.alloc(1)]);
    return [
      empties,
      {
        kind: 'unknown varints inside',
        encode: (sizeBytes) => long(field.number, filled(unknown, sizeBytes - 8)),
      },
    ];
  }
  if (field.fieldKind === 'map') return [empties];
  const scalar = field.fieldKind === 'enum' || field.fieldKind === 'message' ? undefined : field.scalar;
  if (scalar === ScalarType.STRING) {
    return [
      empties,
      ...Object.entries(ALPHABETS).map(([kind, unit]) => ({
        kind,
        encode: (sizeBytes: number) => long(field.number, Buffer.from(textOf(unit, sizeBytes - 8))),
      })),
    ];
  }
  if (scalar === ScalarType.BYTES) {
    return [
      empties,
      {
        kind: 'long',
        encode: (sizeBytes) => long(field.number, Buffer.alloc(Math.max(0, sizeBytes - 8), 0xff)),
      },
    ];
  }
  return numbers(field);
}

/**
 * Integers and enums. Fixed and floating-point fields need another wire type, but no request here has such
 * fields.
 */
function numbers(field: DescField): WorstCase[] {
  const one = (value: Buffer) => Buffer.concat([tag(field.number, TYPE.varint), value]);
  const packed = (value: Buffer) => (sizeBytes: number) => long(field.number, filled(value, sizeBytes - 8));
  return [
    { kind: 'zeros', encode: (sizeBytes) => filled(one(Buffer.alloc(1)), sizeBytes) },
    { kind: 'the longest varints', encode: (sizeBytes) => filled(one(LONGEST_VARINT), sizeBytes) },
    ...(field.fieldKind === 'list'
      ? [
          { kind: 'packed zeros', encode: packed(Buffer.alloc(1)) },
          { kind: 'the longest varints, packed', encode: packed(LONGEST_VARINT) },
        ]
      : []),
  ];
}

function wrap({ around }: FieldPath, bytes: Buffer): Buffer {
  return around.reduceRight((inside, { number }) => long(number, inside), bytes);
}

function long(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([tag(number, TYPE.length), varint(bytes.length), bytes]);
}

function tag(number: number, type: number): Buffer {
  return varint(number * 8 + type);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

function filled(unit: Buffer, sizeBytes: number): Buffer {
  return times(unit, Math.max(0, Math.floor(sizeBytes / unit.length)));
}

function times(unit: Buffer, count: number): Buffer {
  return Buffer.alloc(unit.length * count, unit);
}

/** The smallest unused field number, so that its tag has one byte if possible. */
function unusedNumber(message: DescMessage): number {
  const used = new Set(message.fields.map(({ number }) => number));
  let number = 1;
  while (used.has(number)) number++;
  return number;
}
