import type { Missing } from '../toolchain.ts';

/** The names of the gRPC codes in a language. */
export interface CodeNames {
  invalidArgument: string;
  notFound: string;
  unauthenticated: string;
  unavailable: string;
  /** The codes that the client may get for a passed deadline. */
  deadlineExceeded: readonly string[];
}

/** A language in which a client program is written. */
export interface Language {
  /** The folder of the client, beside this file, and the name of its lines in proto/CLIENTS.md. */
  readonly name: 'go' | 'java' | 'python' | 'rust' | 'typescript';
  readonly codes: CodeNames;
  missing(): Promise<Missing>;
  /** Brings what the client needs into caches outside the project. */
  install(): Promise<void>;
  /** The environment variables of all commands. They forbid the use of the network during a test. */
  readonly environment: Readonly<Record<string, string>>;
  /** Writes settings that a tool reads only from a file, into a copy of the client. */
  configure?(directory: string): Promise<void>;
  /** Builds the program, after the lines of the document have generated code. Returns its command. */
  build(directory: string): Promise<readonly [string, ...string[]]>;
}

export const UPPER_CASE: CodeNames = {
  invalidArgument: 'INVALID_ARGUMENT',
  notFound: 'NOT_FOUND',
  unauthenticated: 'UNAUTHENTICATED',
  unavailable: 'UNAVAILABLE',
  deadlineExceeded: ['DEADLINE_EXCEEDED'],
};

export const PASCAL_CASE: CodeNames = {
  invalidArgument: 'InvalidArgument',
  notFound: 'NotFound',
  unauthenticated: 'Unauthenticated',
  unavailable: 'Unavailable',
  deadlineExceeded: ['DeadlineExceeded'],
};
