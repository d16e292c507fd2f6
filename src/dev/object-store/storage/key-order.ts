/**
 * Returns a string with one character for each UTF-8 byte of the key. S3 orders keys by their UTF-8 bytes, so
 * `<` between two such strings gives the order of S3. `<` between two keys can give another order, because
 * JavaScript compares UTF-16 units.
 */
export function utf8Form(key: string): string {
  return Buffer.from(key, 'utf8').toString('latin1');
}

export function fromUtf8Form(form: string): string {
  return Buffer.from(form, 'latin1').toString('utf8');
}
