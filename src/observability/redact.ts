/** Credentials in URLs, signatures and tokens must never reach a log. */
const SECRETS: readonly [RegExp, string][] = [
  // These names occur in a URL, in an Authorization header, in the name of a header (`X-Amz-Security-Token`), and
  // in JSON that contains any of these.
  [/((?:Signature|Credential|Security-Token)["']?\s*[=:]\s*["']?)[^&\s"',<]+/gi, '$1[redacted]'],
  [/((?:postgres|postgresql|http|https):\/\/[^:@/\s]+:)[^@\s]+@/gi, '$1[redacted]@'],
];

/** Takes the credentials out of a text. `src/process` prints errors with it, and does not load the logger for them. */
export function redact(text: string): string {
  return SECRETS.reduce((redacted, [pattern, replacement]) => redacted.replace(pattern, replacement), text);
}
