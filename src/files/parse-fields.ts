import { FileError } from './file-error.ts';

/** The value of each field, by the name of its parser. */
type Parsed<Parsers extends Record<string, () => unknown>> = {
  [Name in keyof Parsers]: ReturnType<Parsers[Name]>;
};

/**
 * Parses the fields of a request in the given order. If several fields are wrong, a single error names them all, so
 * that a caller can correct its request in one step.
 *
 * @throws FileError with the reason of the first wrong field, and a violation for each wrong field
 */
export function parseFields<Parsers extends Record<string, () => unknown>>(
  parsers: Parsers,
): Parsed<Parsers> {
  const errors: FileError[] = [];
  const parsed: Record<string, unknown> = {};
  for (const [name, parse] of Object.entries(parsers)) {
    try {
      parsed[name] = parse();
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      errors.push(error);
    }
  }
  const [first, ...others] = errors;
  if (first === undefined) return parsed as Parsed<Parsers>;
  if (others.length === 0) throw first;
  const violations = errors.flatMap((error) => error.violations);
  const messages = violations.map(({ message }) => message).join('; ');
  throw new FileError(first.reason, `${violations.length} fields are wrong: ${messages}`, {
    violations,
    metadata: Object.assign({}, ...errors.map(({ metadata }) => metadata)),
  });
}
