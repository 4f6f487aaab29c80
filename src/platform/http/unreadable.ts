import type { IncomingMessage, ServerResponse } from 'node:http';
import { Problem } from '../errors.ts';
import type { App } from './app.ts';
import { answerWithoutRoute } from './errors.ts';

/** Refuses what Node or Fastify would answer without a problem, or take for something else than it is. */
export function refuseUnreadable(app: App): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const { url = '', httpVersion, headers } = request.raw;
    if (headers.host === undefined && httpVersion === '1.1')
      return done(new Problem(400, 'bad_request', 'HTTP/1.1 needs a Host header.'));
    const at = url.indexOf('?');
    // Taken as it stands, it would be the name of another path.
    if (at >= 0 && !isDecodable(url.slice(at + 1)))
      return done(new Problem(400, 'bad_request', 'The query is not percent-encoded UTF-8.'));
    done();
  });
  app.server.on('checkExpectation', ({ headers }: IncomingMessage, answer: ServerResponse) => {
    answerWithoutRoute(answer, new Problem(417, 'expectation_failed', `${headers.expect} cannot be expected here.`));
  });
}

function isDecodable(query: string): boolean {
  if (!query.includes('%')) return true;
  try {
    decodeURIComponent(query);
    return true;
  } catch {
    return false;
  }
}
