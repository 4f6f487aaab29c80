import { EventEmitter } from 'node:events';
import type { FastifyReply } from 'fastify';
import { expect, it } from 'vitest';
import { CLIENT_GONE, HeldAnswers } from '../../../src/platform/http/held-open.ts';

/** All of a reply that it looks at. */
const replyTo = (client: 'there' | 'gone') => {
  const raw = Object.assign(new EventEmitter(), { destroyed: client === 'gone' });
  return { raw } as unknown as FastifyReply;
};
const reasonFor = (held: HeldAnswers, reply: FastifyReply) =>
  held.hold(reply, async (ended) => (ended.aborted ? ended.reason : 'waits'));

it('nobody is held open by a server that drains already, nor any longer by one that begins to', async () => {
  const draining = new AbortController();
  const held = new HeldAnswers(draining.signal);
  const waiting = held.hold(
    replyTo('there'),
    async (ended) => new Promise((resolve) => ended.addEventListener('abort', () => resolve('answered'))),
  );
  draining.abort();
  expect(await waiting).toBe('answered');
  expect(await reasonFor(held, replyTo('there'))).not.toBe('waits');
});

it('whoever has gone before anybody listened is not waited for', async () => {
  const held = new HeldAnswers(new AbortController().signal);
  expect(await reasonFor(held, replyTo('there'))).toBe('waits');
  expect(await reasonFor(held, replyTo('gone'))).toBe(CLIENT_GONE);
});
