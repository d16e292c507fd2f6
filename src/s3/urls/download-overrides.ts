import { attachment } from './content-disposition.ts';

/**
 * A client with an upload URL can add headers to its PUT that the URL does not sign. S3 stores the headers
 * Content-Encoding, Cache-Control, Expires and Content-Language, and sends them with every download. So a
 * download URL overrides each header that S3 lets a GET override (Amazon S3 API Reference, "GetObject"), and
 * the response has only the values that the service chose.
 *
 * No value of an override removes a stored header. If the override is empty, versitygw 1.8.0 sends the stored
 * header, and Ceph RGW 16.2 sends the header without a value. So the values below for Content-Encoding and
 * Content-Language mean the same as an absent header. Those for Cache-Control and Expires forbid caching.
 */
const FIXED_OVERRIDES = {
  // Forbids every cache to store the bytes. Every URL is new and lives for minutes, so a cache could hardly ever
  // use a stored response. A stored response would also survive the deletion of the file. `no-cache` is not
  // enough, because it lets a cache ask S3 whether its copy is still valid. S3 promises the overrides only for the
  // status 200, so its 304 response could contain the `max-age` that the uploader stored.
  'response-cache-control': 'no-store',
  // The content coding that changes nothing (RFC 9110, 8.4.1). With it, browsers, curl --compressed, Go, Python
  // and Node deliver the bytes as they are stored. A coding with an invented name would not work, because curl
  // refuses a coding that it does not know.
  'response-content-encoding': 'identity',
  // The language tag for "undetermined", to be used where a field must have a value (RFC 5646, 4.1).
  'response-content-language': 'und',
  // A time in the past, for caches that do not know Cache-Control. It is a date instead of the usual `0`, because
  // Amazon's SDKs accept only dates here.
  'response-expires': new Date(0).toUTCString(),
} as const;

/**
 * The query parameters of a download URL. S3 then sends the file with its own type, as an attachment with its
 * own name, and without the headers that the uploader stored.
 */
export function downloadOverrides(file: { filename: string; mimeType: string }): Record<string, string> {
  return {
    ...FIXED_OVERRIDES,
    'response-content-disposition': attachment(file.filename),
    'response-content-type': file.mimeType,
  };
}
