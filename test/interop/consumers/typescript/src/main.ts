import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { Code, ConnectError } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { FileEventsService } from '../gen/es/files/v1/file_events_service_pb.ts';
import { handle } from './handle.ts';

const { EVENTS_TOKEN, HOST, PORT } = process.env;
const hash = (text: string | null) =>
  createHash('sha256')
    .update(text ?? '')
    .digest();

const handler = connectNodeAdapter({
  routes: (router) =>
    router.service(FileEventsService, {
      async deliverFileEvent(event, { requestHeader }) {
        const token = hash(requestHeader.get('authorization'));
        if (!EVENTS_TOKEN || !timingSafeEqual(token, hash(`Bearer ${EVENTS_TOKEN}`))) {
          throw new ConnectError('wrong token', Code.Unauthenticated);
        }
        await handle(event); // After an error, the event comes again.
        return {};
      },
    }),
});
createServer(handler).listen(Number(PORT), HOST);
