import type { Reply } from '../../../support/server.ts';
import { demand, demandAnswer } from './demand.ts';
import { judgeAcquire, judgeAdmit, judgeTicketAnswer, judgeView } from './judge-acquire.ts';
import { endTicket, extend, hear, type Lease, type Model, standing } from './reference.ts';
import type { Step } from './steps.ts';

/** Compares an answer with what the model says, and takes the model on. `isAlone`: nothing else is under way. */
export function judge(m: Model, step: Step, reply: Reply, isAlone: boolean): void {
  switch (step.kind) {
    case 'acquire':
      return judgeAcquire(m, step, reply, isAlone);
    case 'admit':
      return judgeAdmit(m, step.request, reply);
    case 'retry':
      return judgeRetry(m, step, reply, isAlone);
    case 'renew':
    case 'release':
      return judgeHolding(m, step, reply);
    case 'revoke':
      return judgeRevoke(m, step, reply);
    case 'heartbeat':
      return judgeHeartbeat(m, step.run, reply);
    case 'finish':
      return judgeFinish(m, step.run, reply);
    case 'cancel':
      return judgeCancel(m, step, reply);
    case 'poll':
      return judgePoll(m, step, reply, isAlone);
    case 'look':
      return judgeLook(m, m.leases[step.lease]!, reply);
  }
}

function judgeRetry(m: Model, step: Extract<Step, { kind: 'retry' }>, reply: Reply, isAlone: boolean): void {
  const kept = m.kept.get(step.asked.key)!;
  if (step.isOther) return demandAnswer(reply, 422, 'idempotency_mismatch');
  if ('lease' in kept) {
    demandAnswer(reply, 201, null);
    return demand(JSON.stringify(reply.body.lease) === JSON.stringify(kept.lease), 'the first answer', reply.body);
  }
  const ticket = m.tickets[kept.ticket]!;
  // Whoever asks about a ticket of theirs that waits is heard of.
  if (ticket.status === 'waiting') hear(m.runs[ticket.run]!);
  judgeTicketAnswer(m, ticket, reply, isAlone);
}

function judgeHolding(m: Model, step: Extract<Step, { kind: 'renew' | 'release' }>, reply: Reply): void {
  const lease = m.leases[step.lease]!;
  if (step.by !== lease.run) return demandAnswer(reply, 403, 'not_your_run');
  if (step.kind === 'renew') hear(m.runs[lease.run]!);
  if (standing(m, lease) !== 'live' || !step.isRightFence) return demandAnswer(reply, 409, 'fence_stale');
  demandAnswer(reply, 200, null);
  demand(reply.body.lease.id === lease.id && reply.body.lease.fence === lease.fence, 'that lease', reply.body);
  if (step.kind === 'renew') extend(lease, step.ttlSeconds ?? lease.ttlSeconds);
  else lease.end = 'released';
  demand(reply.body.lease.state === (step.kind === 'renew' ? 'live' : 'over'), 'its new state', reply.body);
}

function judgeRevoke(m: Model, step: Extract<Step, { kind: 'revoke' }>, reply: Reply): void {
  const lease = m.leases[step.lease]!;
  if (!step.isAdmin) return demandAnswer(reply, 403, null);
  if (!['live', 'closing'].includes(standing(m, lease))) return demandAnswer(reply, 409, 'lease_over');
  demandAnswer(reply, 200, null);
  lease.end = 'revoked';
}

function judgeHeartbeat(m: Model, run: number, reply: Reply): void {
  if (m.runs[run]!.status === 'finished') return demandAnswer(reply, 409, 'run_finished');
  demandAnswer(reply, 200, null);
  const mine = m.leases.filter((lease) => lease.run === run);
  const revoked = mine.filter((lease) => standing(m, lease) === 'revoked');
  const { reasons, signal } = reply.body as { reasons: { code: string; detail: string }[]; signal: string };
  const isTold = revoked.every(({ id }) => reasons.some(({ detail }) => id !== null && detail.includes(id)));
  demand(signal === 'continue' && reasons.length === revoked.length && isTold, `${revoked.length} revoked`, reply.body);
  for (const lease of mine) if (standing(m, lease) === 'live') extend(lease, lease.ttlSeconds);
  hear(m.runs[run]!);
}

function judgeFinish(m: Model, index: number, reply: Reply): void {
  demandAnswer(reply, 200, null);
  const run = m.runs[index]!;
  if (run.status === 'finished') return;
  for (const lease of m.leases) if (lease.run === index && lease.end === null) lease.end = 'run_ended';
  for (const ticket of m.tickets)
    if (ticket.run === index && ticket.status === 'waiting') endTicket(ticket, 'ended', 'run_ended');
  run.status = 'finished';
}

function judgeCancel(m: Model, step: Extract<Step, { kind: 'cancel' | 'poll' }>, reply: Reply): void {
  const ticket = m.tickets[step.ticket]!;
  if (step.by !== ticket.run) return demandAnswer(reply, 403, 'not_your_run');
  if (ticket.status !== 'waiting') return demandAnswer(reply, 409, 'ticket_settled');
  demandAnswer(reply, 200, null);
  endTicket(ticket, 'cancelled', 'cancelled');
  judgeView(m, ticket, reply.body);
}

function judgePoll(m: Model, step: Extract<Step, { kind: 'cancel' | 'poll' }>, reply: Reply, isAlone: boolean): void {
  const ticket = m.tickets[step.ticket]!;
  demandAnswer(reply, 200, null);
  if (isAlone) judgeView(m, ticket, reply.body);
  if (ticket.status === 'waiting' && step.by === ticket.run) hear(m.runs[ticket.run]!);
}

function judgeLook(m: Model, lease: Lease, reply: Reply): void {
  demandAnswer(reply, 200, null);
  const { state, listed, stale, ok } = reply.body;
  const now = standing(m, lease);
  demand(state === now, now, state);
  const open = m.leases.filter((one) => one.repo === lease.repo && ['live', 'closing'].includes(standing(m, one)));
  const ids = new Set(open.map(({ id }) => id));
  const isSame = listed.length === ids.size && listed.every((id: string) => ids.has(id));
  demand(isSame, `the list ${[...ids].join(' ')}`, listed);
  const covers = lease.mode === 'exclusive' && lease.claims.some((claim) => claim.points.includes('src/a.ts'));
  demand(ok === (now === 'live' && covers) && (now === 'live') === (stale.length === 0), `${now} at the gate`, stale);
  if (now === 'revoked') demand(stale[0].reason === 'revoked', 'revoked at the gate', stale);
}
