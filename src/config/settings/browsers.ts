import { list } from '../setting.ts';

/** The settings for pages in browsers. */
export const BROWSERS = {
  corsAllowedOrigins: list('CORS_ALLOWED_ORIGINS', {
    holds: isOrigin,
    rule: 'must be origins such as https://app.example.com, separated by commas, without `*`',
    desc: 'The origins of pages that may call the HTTP port, separated by commas, if the gateway does not answer CORS itself. If unset, the service sends no CORS headers.',
  }),
};

/**
 * Whether the text is an origin exactly as browsers send it. CORS compares origins as texts, so `https://*.example.com`
 * would match no page. A URL may have such a host.
 */
function isOrigin(text: string): boolean {
  return /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}
