import { text, type Values } from '../setting.ts';

const PROTOCOLS = ['grpc:', 'grpcs:', 'http:', 'https:'];

/** The least length of a token. An attacker could guess a shorter token. */
const TOKEN_MIN_CHARACTERS = 16;

/** The settings for events, and for the notifications of S3 about new objects. */
export const EVENTS = {
  url: text('EVENTS_URL', {
    problem: urlProblem,
    desc: 'Where events are delivered: `grpc://HOST:PORT` or `grpcs://HOST:PORT` calls `files.v1.FileEventsService`; `http://…` or `https://…` gets POSTs of JSON. If unset, events are off.',
  }),
  token: text('EVENTS_TOKEN', {
    problem: tokenProblem,
    desc: 'With EVENTS_URL: the token, of 16 or more characters, that every event carries as `authorization: Bearer …`.',
  }),
  storageToken: text('STORAGE_EVENTS_TOKEN', {
    problem: tokenProblem,
    desc: 'Turns on `POST /storage-events`, which takes notifications of S3 about new objects, and is the token, of 16 or more characters, that their sender must give.',
  }),
};

/** Where events are delivered, and the token that they carry. */
interface EventsTarget {
  url: URL;
  token: string | undefined;
}

export function eventsTarget({ url, token }: Values<typeof EVENTS>): EventsTarget | undefined {
  return url === undefined ? undefined : { url: new URL(url), token };
}

export function* eventsProblems({ url, token }: Values<typeof EVENTS>): Generator<string> {
  if (token !== undefined && url === undefined) yield 'EVENTS_TOKEN does nothing without EVENTS_URL';
}

/** The reasons do not repeat the URL, which may contain a secret. */
function urlProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !PROTOCOLS.includes(url.protocol) || url.hostname === '') {
    return 'must be a URL that begins with grpc://, grpcs://, http:// or https://';
  }
  if (url.username !== '' || url.password !== '') {
    return 'must not contain a user or a password; set EVENTS_TOKEN';
  }
  if (url.hash !== '') return 'must not contain a fragment (#)';
  if (url.protocol.startsWith('http')) return undefined;
  if (url.port === '') return 'must have a port, as in grpc://HOST:PORT';
  return /^\/?$/.test(url.pathname) && url.search === ''
    ? undefined
    : 'must not have a path or a query with grpc:// or grpcs://, because gRPC has its own paths';
}

function tokenProblem(text: string): string | undefined {
  return text.length >= TOKEN_MIN_CHARACTERS && /^[A-Za-z0-9._~+/=-]+$/.test(text)
    ? undefined
    : `must be a token of at least ${TOKEN_MIN_CHARACTERS} letters, digits or characters of ._~+/=-`;
}
