import { describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { ConfigError } from '../../src/config/config-error.ts';

/** Occurs in each refused value, and must occur in no message. */
const SECRET = 'hunter2hunter2';
const TOKEN = `${SECRET}._~+/=-Az09`;

/** The message with which the settings are refused. @throws if they are accepted */
function refusalOf(environment: Record<string, string>): string {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('the settings were accepted');
}

describe('EVENTS_URL', () => {
  it.each([
    'grpc://consumer:50051',
    'grpc://consumer:50051/',
    'grpcs://consumer.internal:443',
    'grpc://[::1]:50051',
    'http://consumer',
    'http://127.0.0.1:3000/events?tenant=a%20b',
    'https://consumer.internal/files.v1.FileEventsService/DeliverFileEvent',
  ])('%s is used as it is', (url) => {
    const { events } = readConfig({ EVENTS_URL: url });
    expect(events).toEqual({ url: new URL(url), token: undefined });
  });

  it.each([
    [SECRET, 'must be a URL that begins with'],
    [`consumer:50051/${SECRET}`, 'must be a URL that begins with'],
    [`ftp://consumer/${SECRET}`, 'must be a URL that begins with'],
    [`grpc:consumer:1`, 'must be a URL that begins with'],
    [`http://user:${SECRET}@consumer`, 'must not contain a user or a password; set EVENTS_TOKEN'],
    [`http://${SECRET}@consumer`, 'must not contain a user or a password; set EVENTS_TOKEN'],
    [`grpc://:${SECRET}@consumer:1`, 'must not contain a user or a password; set EVENTS_TOKEN'],
    [`http://consumer/#${SECRET}`, 'must not contain a fragment (#)'],
    [`grpc://${SECRET}`, 'must have a port, as in grpc://HOST:PORT'],
    [`grpcs://${SECRET}/`, 'must have a port, as in grpc://HOST:PORT'],
    [`grpc://consumer:1/${SECRET}`, 'must not have a path or a query with grpc:// or grpcs://'],
    [`grpcs://consumer:1?${SECRET}`, 'must not have a path or a query with grpc:// or grpcs://'],
  ])('%s is refused, and the message does not repeat it', (url, reason) => {
    const message = refusalOf({ EVENTS_URL: url });
    expect(message).toContain(`EVENTS_URL ${reason}`);
    expect(message).not.toContain(SECRET);
  });

  it('is unset by default, and an empty value counts as unset', () => {
    expect(readConfig({}).events).toBeUndefined();
    expect(readConfig({ EVENTS_URL: '' }).events).toBeUndefined();
  });
});

describe.each([
  ['EVENTS_TOKEN', { EVENTS_URL: 'http://consumer' }],
  ['STORAGE_EVENTS_TOKEN', {}],
] as const)('%s', (variable, others) => {
  it.each([
    `${SECRET}x`,
    `${SECRET} with a space`,
    `${SECRET}\n${SECRET}`,
    `${SECRET}é${SECRET}`,
    `"${SECRET}..."`,
  ])('%j is refused, and the message does not repeat it', (token) => {
    const message = refusalOf({ ...others, [variable]: token });
    expect(message).toContain(`${variable} must be a token of at least 16 letters, digits or characters`);
    expect(message).not.toContain(SECRET);
  });

  it('may have all characters of a Bearer token', () => {
    const { events, storageEventsToken } = readConfig({ ...others, [variable]: TOKEN });
    expect(variable === 'EVENTS_TOKEN' ? events?.token : storageEventsToken).toBe(TOKEN);
  });
});

it('EVENTS_TOKEN without EVENTS_URL is refused, and the message does not repeat it', () => {
  const message = refusalOf({ EVENTS_TOKEN: TOKEN });
  expect(message).toContain('EVENTS_TOKEN does nothing without EVENTS_URL');
  expect(message).not.toContain(SECRET);
});
