/**
 * `src/files/rules` decides about values: filenames, MIME types, MD5s, sizes, user ids, S3 keys, page tokens, batches,
 * part plans and content encodings. Its functions are pure: same arguments, same result (only the random suffix of a key
 * is not). They throw FileError for a value that a caller must change. A rule that needs a row, an object or a clock
 * does not belong here.
 */
import { FileError } from '../file-error.ts';

/**
 * The maximum length of a name after Unicode normalisation, in Unicode characters (code points). It suits the usual
 * file systems: NTFS allows 255 UTF-16 units, APFS 255 characters, and ext4 255 bytes.
 */
export const FILENAME_MAX_CHARACTERS = 255;

/**
 * The maximum length of a name before Unicode normalisation, in UTF-16 units. It is checked before the name is
 * normalised, because the time of normalisation is quadratic in a run of combining marks that are out of order:
 * 80 kB of such marks take seconds, 1,530 units less than a millisecond. The maximum refuses no name that has at
 * most FILENAME_MAX_CHARACTERS after normalisation. The longest spelling of a character has six units: U+16126 as
 * three characters of two units each. test/files/filename.test.ts checks this for all of Unicode.
 */
export const FILENAME_MAX_UNITS = FILENAME_MAX_CHARACTERS * 6;

const TOO_LONG = `must be at most ${FILENAME_MAX_CHARACTERS} characters`;

// Control characters end lines and are invisible in terminals. Bidirectional embeddings, overrides and isolates change
// the order in which a name is shown: `gpj.exe` is shown as `exe.jpg`. The marks U+200E and U+200F are allowed, because
// operating systems put them into names in Arabic and Hebrew, and they cannot reverse letters or digits.
const CONTROL = /\p{Cc}/u;
const BIDI = /[\u061c\u202a-\u202e\u2066-\u2069]/u;

/**
 * Returns the name as it is stored and shown: in Unicode NFC, otherwise unchanged.
 *
 * @throws FileError INVALID_FILENAME
 */
export function parseFilename(text: string): string {
  const problem = filenameProblem(text);
  if (problem !== undefined) throw invalid('filename', problem);
  return text.normalize('NFC');
}

/**
 * Returns the filename prefix of a list request in Unicode NFC, because stored names have this form.
 *
 * @throws FileError INVALID_FILENAME
 */
export function parseFilenamePrefix(text: string): string {
  if (text.length > FILENAME_MAX_UNITS) throw invalid('filename_prefix', TOO_LONG);
  if (!text.isWellFormed()) throw invalid('filename_prefix', 'must be well-formed Unicode');
  // Postgres accepts no NUL in a text, and no stored name has a control character.
  if (CONTROL.test(text)) throw invalid('filename_prefix', 'must not contain control characters');
  const prefix = text.normalize('NFC');
  if (isTooLong(prefix)) throw invalid('filename_prefix', TOO_LONG);
  return prefix;
}

function filenameProblem(text: string): string | undefined {
  if (text === '') return 'must not be empty';
  if (text.length > FILENAME_MAX_UNITS) return TOO_LONG;
  if (!text.isWellFormed()) return 'must be well-formed Unicode, without lone surrogates';
  if (text === '.' || text === '..') return 'must not be "." or ".."';
  if (/[/\\]/.test(text)) return 'must be a name, not a path: no "/" and no "\\"';
  if (CONTROL.test(text)) return 'must not contain control characters';
  if (BIDI.test(text)) return 'must not contain bidirectional control characters';
  return isTooLong(text.normalize('NFC')) ? TOO_LONG : undefined;
}

function isTooLong(normalized: string): boolean {
  return normalized.length > FILENAME_MAX_CHARACTERS && [...normalized].length > FILENAME_MAX_CHARACTERS;
}

function invalid(field: string, rule: string): FileError {
  return new FileError('INVALID_FILENAME', `${field} ${rule}`, { field });
}
