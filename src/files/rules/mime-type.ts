import { FileError } from '../file-error.ts';

/**
 * The maximum length of a type with its parameters. RFC 6838 allows 127 + 1 + 127 characters for type, slash and
 * subtype. Registered types are far shorter, so their parameters have room.
 */
const MIME_TYPE_MAX_CHARACTERS = 255;

// RFC 9110: media-type = type "/" subtype *( OWS ";" OWS [ parameter ] ), and the value of a parameter is a token or a
// quoted string. Only ASCII is accepted, because the type becomes a header of the PUT. White space at the end stands only
// behind a `;`. HTTP drops it, and the signature ignores it.
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t\\x20-\\x7e])*"';
// Browsers also write values that are no tokens without quotes, for example the codecs of a recording
// (`video/webm;codecs=vp8,opus`). The MIME Sniffing standard accepts each of these characters.
const UNQUOTED_CHARACTERS = '[\\x21\\x23-\\x3a\\x3c-\\x5b\\x5d-\\x7e]+';
const UNQUOTED = `${UNQUOTED_CHARACTERS}(?: ${UNQUOTED_CHARACTERS})*`;
// Each blank can match in one place only. With a second place, the time for a refusal would double with each blank.
const PARAMETER = `[ \\t]*;(?:[ \\t]*${TOKEN}=(?:${QUOTED}|${UNQUOTED}))?`;
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}(?:${PARAMETER})*(?:[ \\t]*;[ \\t]*)?$`);

/**
 * Returns the type unchanged, because it is signed into the URL as the caller gave it.
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

/**
 * Whether two texts can be the same type. A server that stored the one may report the other, because servers may write
 * a type in another form: in lower case, without blanks, or with other quotes.
 */
export function isSameMimeType(one: string, other: string): boolean {
  return normalForm(one) === normalForm(other);
}

function normalForm(text: string): string {
  return text.toLowerCase().replace(/[\s"\\]/g, '');
}
