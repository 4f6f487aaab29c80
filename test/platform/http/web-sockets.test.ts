import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createHttpServer } from '../../../src/platform/http/server.ts';

it("a client's frame that is too big ends its WebSocket with 1009, and is no error of ours in the log", async () => {
  const lines: { level: number; msg: string }[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) });
  const app = await createHttpServer({ logger, version: '0' });
  app.route({ method: 'GET', url: '/', wsHandler: () => undefined, handler: async () => 'page' });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const socket = new WebSocket(`ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/`);
  await once(socket, 'open');
  socket.send(Buffer.alloc(70_000));
  const [code] = await once(socket, 'close');
  await app.close();
  expect(code).toBe(1009);
  const told = lines.filter(({ msg }) => msg.includes('WebSocket'));
  expect(told).toMatchObject([{ level: 30, code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }]);
  expect(lines.filter(({ level }) => level > 30)).toEqual([]);
}, 20_000);
