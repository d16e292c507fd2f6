/** The maximum length of `sub` in OpenID Connect (Core 1.0, section 2). */
export const USER_ID_MAX_CHARACTERS = 255;

// The pattern accepts visible ASCII characters without the comma. HTTP joins repeated headers with a comma, so
// "a,b" may be two users.
const CHARACTERS = /^[\x21-\x2b\x2d-\x7e]+$/;

/** Whether the service accepts this user id from a gateway, the trusted caller that names the user of each call. */
export function isUserId(text: string): boolean {
  return text.length <= USER_ID_MAX_CHARACTERS && CHARACTERS.test(text);
}
