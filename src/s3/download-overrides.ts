import { attachment } from './content-disposition.ts';

/**
 * The holder of an upload URL can add headers to the PUT that the URL does not sign. S3 stores Content-Encoding,
 * Cache-Control, Expires and Content-Language, and sends them with every download. So a download URL overrides each header
 * that S3 lets a GET override (Amazon S3 API Reference, "GetObject"), and the client gets only what the service chose.
 *
 * No value removes a stored header. An empty one does not: versitygw 1.8.0 ignores it and sends the stored header, Ceph
 * RGW 16.2 sends the header without a value. So each value here says what the absent header means.
 */
const FIXED_OVERRIDES = {
  // No cache may keep the bytes: every URL is new and lives for minutes, so a kept response is hardly ever used again, and
  // it would outlive a delete. `no-cache` would not do: it lets a cache ask again, and the 304 that answers this need not
  // have the overrides (they are promised for 200 alone), so the stored `max-age` could come back with it.
  'response-cache-control': 'no-store',
  // The coding that changes nothing (RFC 9110, 8.4.1). Browsers, curl --compressed, Go, Python and Node then deliver the
  // bytes as they are stored; curl refuses a response with a coding that it does not know.
  'response-content-encoding': 'identity',
  // "Undetermined", the tag for a field that has to have a value (RFC 5646, 4.1).
  'response-content-language': 'und',
  // In the past, for caches that do not know Cache-Control. A date, because `0` is none, and Amazon's SDKs send dates alone.
  'response-expires': new Date(0).toUTCString(),
} as const;

/** The query of a GET that sends the file with its own type, as an attachment with its own name, and with no header of the uploader's. */
export function downloadOverrides(file: { filename: string; mimeType: string }): Record<string, string> {
  return {
    ...FIXED_OVERRIDES,
    'response-content-disposition': attachment(file.filename),
    'response-content-type': file.mimeType,
  };
}
