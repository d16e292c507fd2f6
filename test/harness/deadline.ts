import type { Deadline } from '../../src/files/deadline.ts';
import type { FileStore } from '../../src/files/ports.ts';

/** For a step whose time is not what the test is about: more than it needs on any machine. */
export const ample = (): Deadline => Date.now() + 60_000;

/** The store's methods, for a test that has no deadlines. */
export type PatientStore = {
  [Name in keyof FileStore]: FileStore[Name] extends (...args: [...infer Args, Deadline]) => infer Result
    ? (...args: Args) => Result
    : never;
};

/** Gives each call an ample deadline. */
export function patient(store: FileStore): PatientStore {
  const entries = Object.entries(store).map(([name, method]) => [
    name,
    (...args: unknown[]) => (method as (...args: unknown[]) => unknown)(...args, ample()),
  ]);
  return Object.fromEntries(entries) as PatientStore;
}
