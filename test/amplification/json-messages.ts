import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { ALPHABETS, textOf } from './alphabets.ts';
import { fieldPathsOf, innerMessage, nameOfField, type WorstCase } from './message.ts';

/** A key that no message of the contract has. */
const UNKNOWN = 'noSuchField';

/** Room for the keys, quotes and brackets around a value. */
const AROUND_BYTES = 200;

/** The text of a value that has about this size. */
type Value = (sizeBytes: number) => string;

/** Values that may be expensive to parse, in any field. */
const VALUES: Record<string, Value> = {
  'arrays in arrays': (size) => `${'['.repeat(size / 2)}${']'.repeat(size / 2)}`,
  'objects in objects': (size) => `${'{"":'.repeat(size / 5)}0${'}'.repeat(size / 5)}`,
  'empty objects': (size) => list('{}', size),
  'empty arrays': (size) => list('[]', size),
  zeros: (size) => list('0', size),
  nulls: (size) => list('null', size),
  'a number of many digits': (size) => '1'.repeat(size),
  'a fraction of many digits': (size) => `0.${'1'.repeat(size)}`,
  'a number with a huge exponent': (size) => `1e${'9'.repeat(size)}`,
};

/** Worst cases of a message in JSON: each fills the message with one kind of content. */
export function jsonMessages(message: DescMessage): WorstCase[] {
  const top: Record<string, Value> = {
    nothing: () => '{}',
    'white space': (size) => `{${' '.repeat(size)}}`,
    'unknown keys': (size) => {
      const entry = (index: number) => `"${index.toString(36).padStart(5, '0')}":0`;
      return `{${Array.from({ length: size / 10 }, (_, index) => entry(index)).join(',')}}`;
    },
    'numbers as unknown keys': (size) =>
      `{${Array.from({ length: size / 10 }, (_, index) => `"${99_999 - index}":0`).join(',')}}`,
    'one unknown key, again and again': (size) => `{${repeated(`"${UNKNOWN}":{}`, size)}}`,
    'an unknown key of great length': (size) => `{"${'a'.repeat(size)}":0}`,
    'arrays in arrays, without an object': (size) => VALUES['arrays in arrays']?.(size) ?? '',
    ...mapped(
      VALUES,
      (kind) => `unknown, ${kind}`,
      (value) => (size) => `{"${UNKNOWN}":${value(size)}}`,
    ),
  };
  const inFields = fieldPathsOf(message).flatMap((path) =>
    Object.entries(valuesOf(path.field)).map(
      ([kind, value]) =>
        [
          `${nameOfField(path)}: ${kind}`,
          (size: number) =>
            path.around.reduceRight(
              (inside, field) =>
                `{"${field.jsonName}":${field.fieldKind === 'list' ? `[${inside}]` : inside}}`,
              value(size),
            ),
        ] as const,
    ),
  );
  return [...Object.entries(top), ...inFields].map(([kind, value]) => ({
    kind,
    encode: (sizeBytes) => Buffer.from(value(Math.max(0, sizeBytes - AROUND_BYTES))),
  }));
}

/** Objects that have this field. */
function valuesOf(field: DescField): Record<string, Value> {
  const key = `"${field.jsonName}":`;
  const object = (value: Value) => (size: number) => `{${key}${value(size)}}`;
  return {
    ...mapped(VALUES, (kind) => kind, object),
    'again and again': (size) => `{${repeated(`${key}${smallest(field)}`, size)}}`,
    ...mapped(
      elementsOf(field),
      (kind) => kind,
      (value) => object(field.fieldKind === 'list' ? (size) => `[${value(size)}]` : value),
    ),
  };
}

/** Worst cases of one element of a field. */
function elementsOf(field: DescField): Record<string, Value> {
  const scalar = field.fieldKind === 'scalar' || field.fieldKind === 'list' ? field.scalar : undefined;
  if (scalar === ScalarType.STRING) {
    return {
      ...mapped(
        ALPHABETS,
        (kind) => kind,
        (unit) => (size) => string(unit, size),
      ),
      'escaped NULs': (size) => `"${'\\u0000'.repeat(size / 6)}"`,
      'escaped combining marks in bad order': (size) => `"${'\\u0315\\u0300'.repeat(size / 12)}"`,
      'escaped lone surrogates': (size) => `"${'\\ud800'.repeat(size / 6)}"`,
    };
  }
  if (scalar === ScalarType.BYTES) return { base64: (size) => string('QUJD', size) };
  if (scalar !== undefined || field.fieldKind === 'enum')
    return { 'many digits in quotes': (size) => string('1', size) };
  return {};
}

/** A string literal of this size, including its escapes. */
function string(unit: string, sizeBytes: number): string {
  const escaped = JSON.stringify(unit).slice(1, -1);
  return `"${textOf(escaped, sizeBytes)}"`;
}

function smallest(field: DescField): string {
  if (field.fieldKind === 'list') return '[]';
  if (innerMessage(field) !== undefined || field.fieldKind === 'map') return '{}';
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING ? '""' : '0';
}

function list(item: string, sizeBytes: number): string {
  return `[${repeated(item, sizeBytes)}]`;
}

function repeated(item: string, sizeBytes: number): string {
  return `${item},`.repeat(Math.max(1, Math.floor(sizeBytes / (item.length + 1)))).slice(0, -1);
}

function mapped<In, Out>(
  from: Record<string, In>,
  name: (key: string) => string,
  map: (value: In) => Out,
): Record<string, Out> {
  return Object.fromEntries(Object.entries(from).map(([key, value]) => [name(key), map(value)]));
}
