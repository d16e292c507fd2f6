import type { DescField, DescMessage } from '@bufbuild/protobuf';

/** A message that costs more than it looks, of any size. */
export interface WorstCase {
  /** What it is full of, and in which field. */
  readonly kind: string;
  /** At most so many bytes, and nearly as many. */
  encode(sizeBytes: number): Buffer;
}

/** A field of a message, or of a message inside it. */
export interface FieldPath {
  /** The message fields around it, outermost first. */
  readonly around: readonly DescField[];
  readonly field: DescField;
}

/** More than any message here has; ends the walk through a message that holds itself. */
const DEPTH_MAX = 3;

export function fieldPathsOf(message: DescMessage, around: readonly DescField[] = []): FieldPath[] {
  return message.fields.flatMap((field) => {
    const inside = innerMessage(field);
    const deeper =
      inside === undefined || around.length === DEPTH_MAX ? [] : fieldPathsOf(inside, [...around, field]);
    return [{ around, field }, ...deeper];
  });
}

/** The message that a field holds, one or many of it. */
export function innerMessage(field: DescField): DescMessage | undefined {
  return field.fieldKind === 'message' || (field.fieldKind === 'list' && field.listKind === 'message')
    ? field.message
    : undefined;
}

export function nameOfField({ around, field }: FieldPath): string {
  return [...around, field].map(({ name }) => name).join('.');
}
