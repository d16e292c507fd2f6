import { FileError } from './file-error.ts';

/** What the usual file systems allow for one name, in bytes of UTF-8. */
export const FILENAME_MAX_BYTES = 255;

// Control characters end lines and hide in terminals; the bidirectional marks,
// embeddings, overrides and isolates make `gpj.exe` read `exe.jpg`.
const CONTROL = /\p{Cc}/u;
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/**
 * The name as it is kept and shown: Unicode NFC, else untouched.
 *
 * @throws FileError INVALID_FILENAME
 */
export function parseFilename(text: string): string {
  const fault = filenameFault(text);
  if (fault !== undefined) throw invalid('filename', fault);
  return text.normalize('NFC');
}

/**
 * The prefix of a list, in the same form as the names that it is held against.
 *
 * @throws FileError INVALID_FILENAME
 */
export function parseFilenamePrefix(text: string): string {
  if (!text.isWellFormed()) throw invalid('filename_prefix', 'must be well-formed Unicode');
  const prefix = text.normalize('NFC');
  // Postgres takes no NUL in a text, and no name has one.
  if (CONTROL.test(prefix)) throw invalid('filename_prefix', 'must not contain control characters');
  if (Buffer.byteLength(prefix) > FILENAME_MAX_BYTES) {
    throw invalid('filename_prefix', `must be at most ${FILENAME_MAX_BYTES} bytes of UTF-8`);
  }
  return prefix;
}

function filenameFault(text: string): string | undefined {
  if (text === '') return 'must not be empty';
  if (!text.isWellFormed()) return 'must be well-formed Unicode, without lone surrogates';
  if (text === '.' || text === '..') return 'must not be "." or ".."';
  if (/[/\\]/.test(text)) return 'must be a name, not a path: no "/" and no "\\"';
  if (CONTROL.test(text)) return 'must not contain control characters';
  if (BIDI.test(text)) return 'must not contain bidirectional control characters';
  if (Buffer.byteLength(text.normalize('NFC')) > FILENAME_MAX_BYTES) {
    return `must be at most ${FILENAME_MAX_BYTES} bytes of UTF-8`;
  }
  return undefined;
}

function invalid(field: string, rule: string): FileError {
  return new FileError('INVALID_FILENAME', `${field} ${rule}`, { field });
}
