/** The steps of a run, as plain data that fast-check can generate, shrink and print. */
import fc from 'fast-check';

/** The first and the last name give the same key. */
export const NAMES = ['b_c.txt', 'c.txt', 'b c?.txt'] as const;
export const NAMES_IN_KEYS = ['b_c.txt', 'c.txt', 'b_c.txt'] as const;
export const MIME_TYPES = ['text/plain', 'application/pdf'] as const;
export const CONTENTS = ['A', 'content B', 'the content of C', 'D'] as const;
/**
 * Contents of multipart uploads: two and three parts of 4 bytes, the last part shorter. No content of a
 * stranger has these lengths.
 */
export const PART_BYTES = 4;
export const CUT_CONTENTS = ['film 1', 'ten bytes.'] as const;
export const isCut = (content: string) => (CUT_CONTENTS as readonly string[]).includes(content);
export const partsOf = (content: string) => content.match(new RegExp(`.{1,${PART_BYTES}}`, 'g')) ?? [];
/** Content that no user announced. */
export const STRANGE = 'a stranger wrote this';

/** Without encoding, `user_b` with `c.txt` and `user` with `b_c.txt` would have the same key. */
export const usersOf = (id: string) => [id, `${id}_b`, `${id}-c`] as const;
export const usersInKeys = (id: string) => [id, `${id}.5Fb`, `${id}-c`] as const;

export interface Asked {
  user: number;
  name: number;
  type: number;
  content: number;
  tellsSize: boolean;
}

/** `url` and `key` are indexes that count from the newest entry, so that new entries are picked most often. */
export type Step =
  | (Asked & { do: 'create' })
  | { do: 'create many'; user: number; requests: Omit<Asked, 'user'>[] }
  /** A create and, if it answers NEW, the PUT. */
  | (Asked & { do: 'upload' })
  | { do: 'put'; url: number; how: 'right' | 'other bytes' | 'other digest' | 'other type' }
  | { do: 'begin'; url: number }
  | { do: 'land' }
  /** Steps of multipart uploads. */
  | { do: 'begin parts'; user: number; name: number; type: number; content: number }
  /** Sends a part with a URL that is created right before. */
  | { do: 'send part'; key: number; number: number; how: 'right' | 'other bytes' }
  | { do: 'complete'; key: number; as: 'owner' | 'other' }
  /** Sends the missing parts and completes the upload. */
  | { do: 'send the rest'; key: number }
  | { do: 'S3 loses the upload'; key: number }
  | { do: 'list'; user: number; pageSize: number; prefix: string }
  | { do: 'page'; user: number; pageSize: number }
  | { do: 'get'; key: number; as: 'owner' | 'other' }
  /** Reads all keys that the service ever gave, also those of other users. */
  | { do: 'get many'; user: number }
  | { do: 'download'; key: number; as: 'owner' | 'other' }
  | { do: 'delete'; key: number; as: 'owner' | 'other' }
  | { do: 'sweep' }
  | { do: 'lease and die' }
  /** A dispatcher delivers events. With `die` it ends before it has acknowledged them, with `hold` it does so later. */
  | { do: 'deliver'; limit: number; ending: 'acknowledge' | 'postpone' | 'hold' | 'die' }
  | { do: 'acknowledge late' }
  | { do: 'replay' }
  | { do: 'stranger removes'; key: number }
  /** One index more than there are contents: the additional one is the strange content. */
  | { do: 'stranger writes'; key: number; content: number }
  | { do: 'jump'; minutes: number }
  /**
   * Jumps to a minute before or after the moment at which a URL expires, a verification is no longer fresh,
   * or a row becomes purgeable. Then the sweeper runs.
   */
  | { do: 'jump to an edge'; edge: number; side: 'before' | 'after'; andSweep: boolean };

const user = fc.constantFrom(0, 0, 0, 1, 2);
const newest = fc.constantFrom(0, 0, 0, 0, 1, 1, 2, 3, 5);
const as = fc.constantFrom<'owner' | 'other'>('owner', 'owner', 'owner', 'owner', 'other');
const index = (values: readonly unknown[]) => fc.nat({ max: values.length - 1 });

const request = {
  name: index(NAMES),
  type: index(MIME_TYPES),
  content: fc.constantFrom(0, 0, 0, 1, 1, 2, 3),
  tellsSize: fc.boolean(),
};
const asked = { user, ...request };

type Fields<Do extends Step['do']> = Omit<Extract<Step, { do: Do }>, 'do'>;

/** A step with the values of its fields. A larger weight makes it more frequent. */
const weighted = <Do extends Step['do']>(
  weight: number,
  name: Do,
  fields: { [Name in keyof Fields<Do>]: fc.Arbitrary<Fields<Do>[Name]> },
) => ({ weight, arbitrary: fc.record({ do: fc.constant(name), ...fields }) as fc.Arbitrary<unknown> });

const key = newest;
const url = newest;
const badly = fc.constantFrom<'other bytes' | 'other digest' | 'other type'>(
  'other bytes',
  'other digest',
  'other type',
);
/** Whether a part is sent with the right bytes. */
const how = fc.constantFrom<'right' | 'other bytes'>('right', 'right', 'right', 'other bytes');
const prefix = fc.constantFrom('', '', 'b', 'c.txt', 'x');
/**
 * Jumps within and beyond VERIFICATION_TTL_SECONDS, beyond the lifetime of a URL, beyond the write window, and
 * far.
 */
const minutes = fc.constantFrom(1, 9, 9, 20, 20, 45, 70, 600, 25.5 * 60, 4 * 1_440, 8.1 * 1_440);

const begun = { user, name: asked.name, type: asked.type, content: fc.constantFrom(0, 0, 1) };
const edge = {
  edge: fc.nat({ max: 5 }),
  side: fc.constantFrom<'before' | 'after'>('before', 'after'),
  andSweep: fc.boolean(),
};

const step = fc.oneof(
  weighted(7, 'create', asked),
  weighted(4, 'create many', {
    user,
    requests: fc.array(fc.record(request), { minLength: 2, maxLength: 5 }),
  }),
  weighted(7, 'upload', asked),
  weighted(5, 'put', { url, how: fc.constant('right') }),
  weighted(1, 'put', { url, how: badly }),
  weighted(3, 'begin', { url }),
  weighted(2, 'land', {}),
  weighted(4, 'begin parts', begun),
  weighted(4, 'send part', { key, number: fc.nat({ max: 2 }), how }),
  weighted(2, 'send the rest', { key }),
  weighted(2, 'complete', { key, as }),
  weighted(1, 'S3 loses the upload', { key }),
  weighted(3, 'list', { user, pageSize: fc.constantFrom(0, 1, 2), prefix }),
  weighted(3, 'page', { user, pageSize: fc.constantFrom(1, 1, 2) }),
  weighted(3, 'get', { key, as }),
  weighted(2, 'get many', { user }),
  weighted(2, 'download', { key, as }),
  weighted(3, 'delete', { key, as }),
  weighted(5, 'sweep', {}),
  weighted(1, 'lease and die', {}),
  weighted(5, 'deliver', {
    limit: fc.constantFrom(1, 2, 100),
    ending: fc.constantFrom('acknowledge', 'acknowledge', 'postpone', 'hold', 'hold', 'die'),
  }),
  weighted(3, 'acknowledge late', {}),
  weighted(1, 'replay', {}),
  weighted(3, 'stranger removes', { key }),
  weighted(1, 'stranger writes', { key, content: fc.nat({ max: CONTENTS.length }) }),
  weighted(4, 'jump to an edge', edge),
  weighted(5, 'jump', { minutes }),
) as fc.Arbitrary<Step>;

export const steps = fc.array(step, { minLength: 1, maxLength: 45, size: 'max' });

const first = { user: 0, name: 0, type: 0, content: 0, tellsSize: false };

/**
 * Sequences that are tried first because random runs find them once in thousands. Each stands for a bug that
 * only this sequence found.
 */
export const RARE: Step[][] = [
  // Calls do not report a lost file as pending. Its row stays until a day after its URL has expired, and not
  // until a day after the loss was seen.
  [
    { do: 'upload', ...first },
    { do: 'list', user: 0, pageSize: 0, prefix: '' },
    { do: 'stranger removes', key: 0 },
    { do: 'jump', minutes: 20 },
    { do: 'get', key: 0, as: 'owner' },
    { do: 'get', key: 0, as: 'owner' },
    { do: 'jump to an edge', edge: 1, side: 'before', andSweep: true },
  ],
  // A PUT that began in the last minute of its URL ends a day later, after the file was deleted.
  [
    { do: 'create', ...first },
    { do: 'jump to an edge', edge: 0, side: 'before', andSweep: true },
    { do: 'begin', url: 0 },
    { do: 'jump to an edge', edge: 0, side: 'before', andSweep: true },
    { do: 'delete', key: 0, as: 'owner' },
    { do: 'land' },
    { do: 'upload', ...first },
  ],
  // The same PUT, to a file that no call has asked about.
  [
    { do: 'create', ...first },
    { do: 'jump to an edge', edge: 0, side: 'before', andSweep: true },
    { do: 'begin', url: 0 },
    { do: 'jump', minutes: 600 },
    { do: 'sweep' },
    { do: 'land' },
    { do: 'list', user: 0, pageSize: 1, prefix: '' },
  ],
  // A batch asks S3 once for each content. So the second request does not see that the first has changed the type.
  [
    { do: 'create', ...first },
    { do: 'stranger writes', key: 0, content: 0 },
    {
      do: 'create many',
      user: 0,
      requests: [
        { ...first, type: 1 },
        { ...first, type: 0 },
      ],
    },
  ],
  // A list continues over empty pages if no or few names match the prefix.
  [
    { do: 'upload', ...first },
    { do: 'upload', ...first, content: 1 },
    { do: 'upload', ...first, content: 2, name: 1 },
    { do: 'list', user: 0, pageSize: 0, prefix: '' },
    { do: 'list', user: 0, pageSize: 0, prefix: 'x' },
    { do: 'list', user: 0, pageSize: 2, prefix: 'c.txt' },
  ],
];

const film = { do: 'begin parts', user: 0, name: 0, type: 0, content: 1 } as const;

/** Also tried in every run: everything that can happen to a multipart upload. */
export const MULTIPART: Step[][] = [
  [
    film,
    { do: 'send part', key: 0, number: 1, how: 'other bytes' },
    { do: 'send part', key: 0, number: 1, how: 'right' },
    { do: 'complete', key: 0, as: 'owner' },
    film,
    { do: 'S3 loses the upload', key: 0 },
    { do: 'send part', key: 0, number: 2, how: 'right' },
    { do: 'complete', key: 0, as: 'owner' },
    film,
    { do: 'send the rest', key: 0 },
    { do: 'complete', key: 0, as: 'other' },
    { do: 'list', user: 0, pageSize: 0, prefix: '' },
    film,
  ],
  // An upload expires after a week and a day, and is begun again under another key.
  [
    film,
    { do: 'send part', key: 0, number: 0, how: 'right' },
    { do: 'jump', minutes: 7.9 * 1_440 },
    { do: 'sweep' },
    { do: 'jump', minutes: 0.3 * 1_440 },
    { do: 'sweep' },
    film,
    { do: 'send the rest', key: 0 },
  ],
];

const cancelled = <Made extends Step>(made: Made): Step[] => [made, { do: 'delete', key: 0, as: 'owner' }];

/**
 * A user who creates and deletes in a loop reaches the limit of either kind, and can continue after the URLs
 * have expired.
 */
export const CANCELLED: Step[][] = [{ do: 'create', ...first } as const, film].map((made) => [
  ...Array.from({ length: 5 }, () => cancelled(made)).flat(),
  { do: 'jump', minutes: 45 },
  made,
  { do: 'jump', minutes: 20 },
  ...cancelled(made),
  made,
]);

const all = { user: 0, pageSize: 0, prefix: '' } as const;
const ready: Step[] = [
  { do: 'upload', ...first },
  { do: 'list', ...all },
];
const deliver = (ending: Extract<Step, { do: 'deliver' }>['ending']) =>
  ({ do: 'deliver', limit: 100, ending }) as const;
const lost: Step[] = [
  ...ready,
  deliver('acknowledge'),
  { do: 'stranger removes', key: 0 },
  { do: 'jump', minutes: 20 },
  { do: 'get', key: 0, as: 'owner' },
];

/** Also tried in every run: changes between a delivery and its acknowledgement, and rows that wait for one. */
export const EVENTS: Step[][] = [
  // The late acknowledgement is that of READY, so DELETED must still be announced.
  [
    ...ready,
    deliver('hold'),
    { do: 'delete', key: 0, as: 'owner' },
    { do: 'acknowledge late' },
    deliver('acknowledge'),
  ],
  // A dispatcher that dies delivers the event again after its lease.
  [...ready, deliver('die'), { do: 'jump', minutes: 9 }, deliver('acknowledge')],
  // A tombstone stays until its event is acknowledged.
  [
    ...ready,
    { do: 'delete', key: 0, as: 'owner' },
    { do: 'jump', minutes: 4 * 1_440 },
    { do: 'sweep' },
    deliver('acknowledge'),
    { do: 'jump', minutes: 8.1 * 1_440 },
    { do: 'sweep' },
  ],
  // A lost file expires.
  [
    ...lost,
    deliver('acknowledge'),
    { do: 'jump', minutes: 4 * 1_440 },
    { do: 'sweep' },
    deliver('hold'),
    { do: 'jump', minutes: 4 * 1_440 },
    { do: 'sweep' },
    { do: 'acknowledge late' },
  ],
  // The upload of a lost file is begun again and never ends. Its row waits for the delivery of the loss.
  [
    ...lost,
    { do: 'create', ...first },
    { do: 'jump', minutes: 4 * 1_440 },
    { do: 'sweep' },
    deliver('acknowledge'),
  ],
  // An upload with two URLs gets its other type after it was READY, and a read at the end finds that.
  [
    ...ready,
    { do: 'stranger writes', key: 0, content: 1 },
    { do: 'create', ...first, content: 2, type: 1 },
    { do: 'upload', ...first, content: 2 },
    { do: 'list', ...all },
    { do: 'put', url: 1, how: 'right' },
  ],
  // A replay of a file whose event is under way.
  [...ready, deliver('hold'), { do: 'replay' }, { do: 'acknowledge late' }, deliver('acknowledge')],
];
