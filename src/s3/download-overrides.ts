import { attachment } from './content-disposition.ts';

/**
 * A client with an upload URL can add headers to its PUT that the URL does not sign. S3 stores
 * Content-Encoding, Cache-Control, Expires and Content-Language, and sends them with every download. So a
 * download URL overrides each header that S3 lets a GET override (Amazon S3 API Reference, "GetObject"), and
 * the response has only the values that the service chose.
 *
 * S3 has no value that removes a stored header. With an empty value, versitygw 1.8.0 sends the stored header,
 * and Ceph RGW 16.2 sends the header without a value. So each value below has the meaning of an absent
 * header.
 */
const FIXED_OVERRIDES = {
  // No cache may store the bytes. Every URL is new and lives for minutes, so a stored response would hardly
  // ever be used, and would survive a delete. `no-cache` is not enough: it lets a cache revalidate, and the
  // 304 response need not have the overrides (S3 promises them for 200 only), so it could bring the stored
  // `max-age` back.
  'response-cache-control': 'no-store',
  // The coding that changes nothing (RFC 9110, 8.4.1). With it, browsers, curl --compressed, Go, Python and
  // Node deliver the bytes as they are stored. An invented coding would not do, because curl refuses a coding
  // that it does not know.
  'response-content-encoding': 'identity',
  // "Undetermined", the tag for a field that must have a value (RFC 5646, 4.1).
  'response-content-language': 'und',
  // A time in the past, for caches that do not know Cache-Control. `0` is not a date, and Amazon's SDKs
  // accept only dates here.
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
