import { FileError } from '../file-error.ts';

/** Longer than any registered type with its parameters; RFC 6838 allows 127 + 1 + 127 without them. */
const MIME_TYPE_MAX_CHARACTERS = 255;

// RFC 9110: media-type = type "/" subtype *( OWS ";" OWS parameter ), and a
// parameter's value is a token or a quoted string. Visible ASCII only: it
// becomes a header of the PUT.
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t\\x20-\\x7e])*"';
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|${QUOTED}))*$`);

/**
 * The type is signed into the URL as it was given.
 *
 * @throws FileError INVALID_MIME_TYPE
 */
export function parseMimeType(text: string): string {
  if (text.length <= MIME_TYPE_MAX_CHARACTERS && MEDIA_TYPE.test(text)) return text;
  throw new FileError(
    'INVALID_MIME_TYPE',
    `mime_type must be type/subtype with optional parameters, at most ${MIME_TYPE_MAX_CHARACTERS} characters of ASCII`,
    { field: 'mime_type' },
  );
}
