const seen = new Set();

/**
 * Prints each delivery. Refuses the first delivery of an event of a file that is named for that.
 * @param {import('cloudevents').CloudEvent} event
 */
export async function handle(event) {
  event.validate();
  process.stdout.write(`${JSON.stringify(event)}\n`);
  const isAgain = seen.has(event.id);
  seen.add(event.id);
  if (!isAgain && event.subject.includes('refuse-once')) throw new Error('refused once');
}
