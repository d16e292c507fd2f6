import { describe, expect, test } from 'vitest';
import { DEFAULT_CORS_RULE, preflightHeaders } from '../../src/dev/object-store/cors.ts';
import rules from './cors.json' with { type: 'json' };

/** True when a page of this origin may upload to a development object store with default settings. */
function mayUpload(origin: string): boolean {
  return preflightHeaders([DEFAULT_CORS_RULE], origin, 'PUT', 'content-md5,content-type') !== undefined;
}

describe('the development object store', () => {
  test('has the rule that README.md links to', () => {
    const [rule] = rules.CORSRules;
    expect({ ...DEFAULT_CORS_RULE, AllowedOrigins: rule?.AllowedOrigins }).toEqual(rule);
  });

  test.each([
    'http://localhost',
    'http://localhost:5173',
    'https://localhost:8443',
    'http://files.localhost:3000',
    'http://127.0.0.1:8080',
    'http://[::1]:8080',
  ])('lets a page of this machine upload: %s', (origin) => expect(mayUpload(origin)).toBe(true));

  test.each(['https://app.example.com', 'http://localhost.example.com', 'http://notlocalhost', 'null'])(
    'does not let any other page upload: %s',
    (origin) => expect(mayUpload(origin)).toBe(false),
  );
});
