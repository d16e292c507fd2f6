import { createHash, timingSafeEqual } from 'node:crypto';
import { HTTP } from 'cloudevents';
import express from 'express';
import { handle } from './handle.js';

const { EVENTS_TOKEN, HOST, PORT } = process.env;
const hash = (text = '') => createHash('sha256').update(text).digest();

const app = express();
app.use('/file-events', ({ headers }, response, next) => {
  const isToken = timingSafeEqual(hash(headers.authorization), hash(`Bearer ${EVENTS_TOKEN}`));
  if (EVENTS_TOKEN && isToken) next();
  else response.sendStatus(401);
});
app.post('/file-events', express.json(), async (request, response) => {
  await handle(HTTP.toEvent(request)); // After an error, Express answers 500, and the event comes again.
  response.sendStatus(204);
});
app.listen(PORT, HOST);
