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

it('whoever has gone before anybody listened is not waited for', async () => {
  const held = new HeldAnswers(new AbortController().signal);
  expect(await reasonFor(held, replyTo('there'))).toBe('waits');
  expect(await reasonFor(held, replyTo('gone'))).toBe(CLIENT_GONE);
});
