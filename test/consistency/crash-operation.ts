import type { History } from './crash-history.ts';
import type { Ask } from './crash-ports.ts';

/**
 * An action of another actor in a gap: a PUT of a client; a client that creates the upload again and sends it
 * after the process has been killed; a delete by an instance that is killed after its commit; a sweeper.
 */
export type Act =
  | 'put'
  | 'create'
  | 'delete'
  | 'sweep'
  /** The lease of the event ends, and a dispatcher of another instance delivers it. */
  | 'deliver'
  /**
   * For multipart uploads: a part is uploaded; another client begins the upload again, completes it, or does
   * everything.
   */
  | 'part'
  | 'begin'
  | 'complete'
  | 'finish'
  /** The upload is completed by an instance that is killed after S3 has assembled the object. */
  | 'make';

/** Creates the state before an operation, and returns the key on which others act in the gaps. */
export type Given = (history: History) => Promise<string>;

export interface Operation {
  name: string;
  given: Given | undefined;
  /** The request, or the request for the key of `given`. */
  request: Ask | ((s3Key: string) => Ask);
  /**
   * The steps of the undisturbed operation. The test fails if the operation takes other steps, so no gap is
   * missed.
   */
  steps: string[];
  /** The actions to try. Without a valid URL there is no PUT. */
  acts: Act[];
}

export const sweep: Ask = { method: 'sweep' };
export const dispatch: Ask = { method: 'dispatch' };

/** Returns a function that makes the request for a key. */
export const asks =
  (method: 'get' | 'download' | 'delete' | 'complete') =>
  (s3Key: string): Ask => ({ method, s3Key });

export const due = `due_at = now()`;

/** The state that `given` creates, with other values in its row. */
export function changed(given: Given, ...assignments: string[]): Given {
  return async (history) => {
    const key = await given(history);
    await history.change(assignments.join(', '));
    return key;
  };
}

/** The state that `given` creates, after a delete by an instance that was killed right after its commit. */
export function deleted(given: Given): Given {
  return async (history) => {
    const key = await given(history);
    await history.deleteAndDie(key);
    return key;
  };
}

/** The state that `given` creates, after the consumer has taken all events. */
export function told(given: Given): Given {
  return async (history) => {
    const key = await given(history);
    await history.deliver();
    return key;
  };
}

/** One row of a table of operations. The steps are separated by blanks. */
export function operation(
  name: string,
  given: Operation['given'],
  request: Operation['request'],
  steps: string,
  acts: Act[],
): Operation {
  return { name, given, request, steps: steps.split(' '), acts };
}
