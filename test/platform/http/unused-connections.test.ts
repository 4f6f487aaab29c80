import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import Fastify from 'fastify';
import { expect, it } from 'vitest';
import { closeUnusedConnections, cutOffLateClients } from '../../../src/platform/http/unused-connections.ts';

it('a connection over which nobody has asked anything does not hold up the end; one that is being answered does', async () => {
  const app = Fastify({ forceCloseConnections: 'idle' });
  closeUnusedConnections(app);
  let answer = (): void => {};
  const asked = new Promise<void>((resolve) => {
    app.get('/', async (_request, reply) => {
      reply.header('connection', 'close');
      resolve();
      await new Promise<void>((free) => (answer = free));
      return 'answered';
    });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const accepted = once(app.server, 'connection');
  const unused = connect(port, '127.0.0.1').resume();
  await accepted;
  const reply = fetch(`http://127.0.0.1:${port}/`);
  await asked;
  const closed = app.close();
  await once(unused, 'close');
  answer();
  expect(await (await reply).text()).toBe('answered');
  await closed;
}, 20_000);

it('a request that never comes to its end holds up the end for as long as said', async () => {
  const app = Fastify({ forceCloseConnections: 'idle' });
  closeUnusedConnections(app);
  cutOffLateClients(app, 300);
  app.post('/', async () => 'answered');
  await app.listen({ port: 0, host: '127.0.0.1' });
  const begun = once(app.server, 'request');
  const half = connect((app.server.address() as AddressInfo).port, '127.0.0.1').resume();
  half.on('error', () => undefined);
  half.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{');
  await begun;
  const ended = once(half, 'close');
  await app.close();
  await ended;
}, 20_000);
