import type { DescField, DescMessage } from '@bufbuild/protobuf';

/** A kind of message, in any size, that may cost more than its size suggests. */
export interface WorstCase {
  /** The content that fills the message, and the field. */
  readonly kind: string;
  /** @returns a message of at most `sizeBytes` bytes, and nearly as many */
  encode(sizeBytes: number): Buffer;
}

/** A field of a message, or of a message inside it. */
export interface FieldPath {
  /** The message fields around it, outermost first. */
  readonly around: readonly DescField[];
  readonly field: DescField;
}

/**
 * Deeper than any message of the contract. The bound ends the recursion for a message that contains itself.
 */
const DEPTH_MAX = 3;

export function fieldPathsOf(message: DescMessage, around: readonly DescField[] = []): FieldPath[] {
  return message.fields.flatMap((field) => {
    const inside = innerMessage(field);
    const deeper =
      inside === undefined || around.length === DEPTH_MAX ? [] : fieldPathsOf(inside, [...around, field]);
    return [{ around, field }, ...deeper];
  });
}

/** The message type of a field or of a list of messages; `undefined` for other fields. */
export function innerMessage(field: DescField): DescMessage | undefined {
  return field.fieldKind === 'message' || (field.fieldKind === 'list' && field.listKind === 'message')
    ? field.message
    : undefined;
}

export function nameOfField({ around, field }: FieldPath): string {
  return [...around, field].map(({ name }) => name).join('.');
}
