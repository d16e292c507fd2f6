/**
 * A network with a round trip of some milliseconds, in a process of its own: `delay-child.ts MILLISECONDS PORT…`. Prints
 * the port in front of each PORT of loopback as JSON, and ends with its standard input.
 */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

const [roundTripMs = 0, ...ports] = process.argv.slice(2).map(Number);

/** A sender pauses while more than this is on its way, as with a full window of TCP. */
const UNDER_WAY_MAX_BYTES = 4 * 1024 ** 2;

/** Passes on each piece after the time that it would need in one direction. */
function passOn(from: Socket, to: Socket, firstDelayMs: number): void {
  const underWayPieces: Buffer[] = [];
  let underWay = 0;
  let notBeforeMs = performance.now() + firstDelayMs;
  from.on('data', (piece: Buffer) => {
    underWayPieces.push(piece);
    underWay += piece.length;
    if (underWay > UNDER_WAY_MAX_BYTES) from.pause();
    const arrivesMs = Math.max(performance.now() + roundTripMs / 2, notBeforeMs);
    notBeforeMs = arrivesMs;
    setTimeout(() => {
      // Timers of different lengths can fire in another order than the pieces were sent.
      const arrived = underWayPieces.shift() ?? Buffer.alloc(0);
      underWay -= arrived.length;
      if (underWay <= UNDER_WAY_MAX_BYTES) from.resume();
      to.write(arrived);
    }, arrivesMs - performance.now());
  });
  from.on('end', () =>
    setTimeout(() => to.end(), Math.max(roundTripMs / 2, notBeforeMs - performance.now()) + 1),
  );
  from.on('error', () => to.destroy());
}

const fronts = await Promise.all(
  ports.map(async (port) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const upstream = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      // The kernel opens the connection at once. In a real network the client waits a round trip for it, so the first
      // bytes arrive a round trip later.
      passOn(client, upstream, roundTripMs * 1.5);
      passOn(upstream, client, 0);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }),
);
process.stdout.write(`${JSON.stringify(fronts)}\n`);
process.stdin.resume().on('end', () => process.exit());
