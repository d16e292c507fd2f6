import type { Deadline } from '../../src/files/deadline.ts';
import type { FileStore } from '../../src/files/ports.ts';

/**
 * A deadline for a step whose time the test does not check: 60 s, more than the step needs on any machine.
 */
export const ample = (): Deadline => Date.now() + 60_000;

/** The methods of the store without their deadline, for tests that do not check deadlines. */
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
