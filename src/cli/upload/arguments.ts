import { parseArgs } from 'node:util';
import { parseFilename } from '../../files/rules/filename.ts';

/** The user id in the examples of proto/README.md. */
const USER_DEFAULT = '651eb6e11d156e0d7a42c59d';

/** The path that stands for standard input. */
export const STDIN = '-';

/** The most files and parts at once. Each needs a connection to S3, and more connections would not be faster. */
const CONCURRENCY_MAX = 256;
/** The number of files and parts that are sent at once by default, in the client package too. */
const CONCURRENCY_DEFAULT = 32;

export const USAGE = `usage: npm run upload -- PATH… [options]
       … | npm run upload -- - --name NAME [options]

Uploads files and directories to a running service. It does not send again what the service has
stored, and continues interrupted uploads.

  --user ID        the user who owns the files, as the gateway would name the user
                   (default ${USER_DEFAULT})
  --url URL        the address of the service for Connect
                   (default: the address of npm start, from HOST and HTTP_PORT)
  --name NAME      the name of the file that comes from standard input; PATH is -
  --concurrency N  how many files and parts are sent at once, 1 to ${CONCURRENCY_MAX} (default: ${CONCURRENCY_DEFAULT})
  --dry-run        list path, size, type and name of what would be uploaded; send nothing
  --json           print one object a line: for each file when it is done, and a summary at the end
  --quiet, -q      print errors only
  --no-cache       read all files. By default, files that have not changed since an upload are not
                   read again: their MD5s are kept in ~/.cache/file-service (or XDG_CACHE_HOME)
  --help, -h       print this text
  --               take all that follows as paths, also what begins with -

Directories are uploaded with all files below them, hidden files too. A file of a directory is
named after its path below that directory, with ／ (U+FF0F) for /: if PATH is photos, then
photos/2024/a.jpg becomes 2024／a.jpg. Two files of a directory never get one name: where a name
itself has ／ or ‛ (U+201B), it becomes ‛／ or ‛‛. Equal content is stored once, under the name of
the first file.

Links to files and directories are followed. Pipes, sockets, devices, broken links, links to a
directory that contains the link, and what cannot be read are named and left out; the exit code
is then 1. The shell expands patterns such as *.jpg.

Results go to stdout. Errors, retries and, on a terminal, the progress bar go to stderr.
npm itself prints two lines to stdout, unless it is called as npm run --silent upload.
If GATEWAY_TOKENS is set, its first token is sent.
Exit code: 0 all files are stored; 1 a file is not; 2 wrong arguments; 130 interrupted by Ctrl-C
(the same command continues; another Ctrl-C, a second later, ends it at once).`.split('\n');

/** The text beside an error. The whole usage would push the error off a small screen. */
export const USAGE_SHORT = [...USAGE.slice(0, 2), '', 'All options: npm run upload -- --help'];

export interface UploadArguments {
  paths: readonly string[];
  user: string;
  /** The address of the service. Undefined: the address in the settings. */
  url: string | undefined;
  /** The filename for standard input. */
  name: string | undefined;
  concurrency: number;
  isDryRun: boolean;
  isJson: boolean;
  isQuiet: boolean;
  isCached: boolean;
}

type ParsedArguments =
  | { kind: 'upload'; upload: UploadArguments }
  | { kind: 'help' }
  | { kind: 'wrong'; problem: string };

export function parseUploadArguments(args: string[]): ParsedArguments {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      allowNegative: true,
      options: {
        user: { type: 'string', default: USER_DEFAULT },
        url: { type: 'string' },
        name: { type: 'string' },
        concurrency: { type: 'string', default: String(CONCURRENCY_DEFAULT) },
        'dry-run': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        quiet: { type: 'boolean', short: 'q', default: false },
        cache: { type: 'boolean', default: true },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    const upload = {
      paths: positionals,
      user: values.user,
      url: values.url,
      name: values.name,
      concurrency: Number(values.concurrency),
      isDryRun: values['dry-run'],
      isJson: values.json,
      isQuiet: values.quiet,
      isCached: values.cache,
    };
    const problem = problemOf(upload);
    return problem === undefined ? { kind: 'upload', upload } : { kind: 'wrong', problem };
  } catch (error) {
    return { kind: 'wrong', problem: (error as Error).message };
  }
}

function problemOf({
  paths,
  url,
  name,
  concurrency,
  isDryRun,
  isQuiet,
  isJson,
}: UploadArguments): string | undefined {
  if (paths.length === 0) return 'name at least one file or directory, or - for standard input';
  if (paths.includes('')) return 'a path is empty; check the variables of the command';
  if (url !== undefined && !isHttpUrl(url)) return `--url ${url} is not a URL of the form http://HOST:PORT`;
  const readsStdin = paths.includes(STDIN);
  if (readsStdin && name === undefined) return 'standard input has no name: add --name NAME';
  if (!readsStdin && name !== undefined) return '--name is for standard input: add the path -';
  const nameProblem = name === undefined ? undefined : problemOfName(name);
  if (nameProblem !== undefined) return nameProblem;
  if (readsStdin && isDryRun) return '--dry-run reads no content, so it cannot be used with -';
  if (isQuiet && isJson) return '--quiet and --json exclude each other';
  if (!isConcurrency(concurrency)) {
    return `--concurrency must be a whole number from 1 to ${CONCURRENCY_MAX}`;
  }
  return undefined;
}

/** The service refuses such a name too, but only after standard input has been read. */
function problemOfName(name: string): string | undefined {
  try {
    parseFilename(name);
    return undefined;
  } catch (error) {
    return `--name: ${(error as Error).message}`;
  }
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function isConcurrency(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= CONCURRENCY_MAX;
}
