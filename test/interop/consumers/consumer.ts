import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeliverFileEventRequest } from '../../../gen/files/v1/file_events_service_pb.ts';
import { buildProject, type Client, clientFolder } from '../clients/build-client.ts';
import type { Language } from '../clients/language.ts';
import type { Missing } from '../toolchain.ts';

export type BuiltConsumer = Pick<Client, 'command' | 'options'> & AsyncDisposable;

/** A program that receives events, as an engineer of another service would write it. */
export interface Consumer {
  readonly name: string;
  missing(): Promise<Missing>;
  build(): Promise<BuiltConsumer>;
  /** The value of EVENTS_URL for a consumer on this port. */
  eventsUrl(port: number): string;
  /** Reads a line that the consumer printed for one delivery. */
  parse(line: string): DeliverFileEventRequest;
}

/**
 * Builds the consumer in the folder beside this file that has the name of the language. Code is generated for it by the
 * lines of proto/CLIENTS.md.
 *
 * @param shared the files that the consumer has in common with the client in this language
 */
export function buildConsumer(language: Language, shared: readonly string[]): Promise<Client> {
  return buildProject(language, async (directory) => {
    for (const file of shared) await cp(join(clientFolder(language), file), join(directory, file));
    await cp(join(import.meta.dirname, language.name), directory, { recursive: true });
  });
}
