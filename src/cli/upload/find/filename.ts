/**
 * The name of a file of a directory is its path below that directory. A name of the service cannot contain `/`, so
 * `／` (U+FF0F, FULLWIDTH SOLIDUS) takes its place. rclone uses the same character for the same purpose.
 *
 * Two paths never get one name, and the path can be computed from the name: where a file name itself contains `／`,
 * `‛` (U+201B) stands before it, and `‛` is doubled. A plain ASCII separator such as `__` would be easier to type, but
 * `a__b/c` and `a/b__c` would get one name. U+2215 and U+2044 look like `/` itself and mislead a reader. In an S3 key,
 * the service writes `_` for `／`.
 */
export function filenameOfPath(relative: string): string {
  return relative.replace(/[‛／]/g, '‛$&').replaceAll('/', '／');
}
