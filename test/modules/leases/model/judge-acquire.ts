import type { Reply } from '../../../support/server.ts';
import { demand, demandAnswer } from './demand.ts';
import {
  askAgain,
  decide,
  decideTicket,
  grant,
  hear,
  inTheWay,
  type Lease,
  type Model,
  type Obstacle,
  type Request,
  shortestCycle,
  standing,
  type Ticket,
  type Verdict,
  waitGraph,
  waitingFor,
} from './reference.ts';
import type { Step } from './steps.ts';
import { share } from './universe.ts';

type Body = Reply['body'];
type Conflict = Extract<Verdict, { kind: 'conflict' }>;
type Revoked = Extract<Verdict, { kind: 'revoked' }>;

export function judgeAcquire(m: Model, step: Extract<Step, { kind: 'acquire' }>, reply: Reply, isAlone: boolean): void {
  const { request, waitSeconds, key } = step;
  const run = m.runs[request.run]!;
  if (run.status === 'finished') return demandAnswer(reply, 409, 'run_finished');
  const verdict = decide(m, request, m.tickets);
  if (reply.status === 409) m.refused.add(request.run);
  if (verdict.kind === 'revoked') {
    demandAnswer(reply, 409, 'lease_revoked');
    demand(
      verdict.leases.some(({ id }) => id === reply.body.leaseId),
      'the revoked lease',
      reply.body,
    );
    return;
  }
  if (verdict.kind === 'conflict') {
    if (waitSeconds === 0) return judgeConflict(m, { request, verdict, ahead: m.tickets }, reply);
    return judgeWait(m, { step, verdict }, reply, isAlone);
  }
  demandAnswer(reply, 201, null);
  judgeLease(m, request, verdict, reply.body.lease);
  if (key !== null) m.kept.set(key, { lease: reply.body.lease });
}

/** Before an edit: nobody governs it here, so that it is the lease that decides. */
export function judgeAdmit(m: Model, request: Request, reply: Reply): void {
  if (m.runs[request.run]!.status === 'finished') return demandAnswer(reply, 409, 'run_finished');
  const verdict = decide(m, request, m.tickets);
  demandAnswer(reply, 200, null);
  const { outcome, free, conflicts, lease } = reply.body;
  switch (verdict.kind) {
    case 'revoked':
      demand(outcome === 'deny', 'deny', reply.body);
      return hear(m.runs[request.run]!);
    case 'conflict':
      demand(
        outcome === 'wait' && String(free) === String(verdict.free),
        `wait, free ${verdict.free.join()}`,
        reply.body,
      );
      m.refused.add(request.run);
      return judgeConflicts(m, { request, verdict, ahead: m.tickets }, conflicts);
    default:
      demand(outcome === 'allow', 'allow', reply.body);
      return judgeLease(m, request, verdict, lease);
  }
}

/** What is given: what is held already, or a lease of its own. */
function judgeLease(m: Model, request: Request, verdict: Exclude<Verdict, Conflict | Revoked>, told: Body): void {
  const run = m.runs[request.run]!;
  demand(told.runId === run.id && told.state === 'live', 'a live lease of the run', told);
  hear(run);
  if (verdict.kind === 'held') {
    const { leases } = verdict;
    const lease = leases.find(({ id }) => id === told.id) ?? leases.find(({ id }) => id === null);
    demand(lease !== undefined, 'the lease that is held already', told);
    lease.id = told.id;
    askAgain(lease, request.ttlSeconds);
  } else {
    demand(!m.leases.some(({ id }) => id === told.id), 'a lease of its own', told);
    const lease = grant(m, request);
    demandGranted(lease, told);
    Object.assign(lease, { id: told.id, fence: told.fence });
  }
}

function demandGranted({ mode, claims, ttlSeconds }: Lease, told: Body): void {
  const texts = [...told.paths, ...told.patterns, ...told.resources];
  const isSo = told.mode === mode && String(texts) === String(claims.map(({ text }) => text));
  demand(
    isSo && told.ttlSeconds === ttlSeconds,
    `${mode} ${claims.map(({ text }) => text).join()} for ${ttlSeconds} s`,
    told,
  );
}

/** A request that cannot be had now, and would wait. */
function judgeWait(
  m: Model,
  { step, verdict }: { step: Extract<Step, { kind: 'acquire' }>; verdict: Conflict },
  reply: Reply,
  isAlone: boolean,
): void {
  const { request, key } = step;
  const own = m.tickets.filter(
    (ticket) =>
      ticket.status === 'waiting' &&
      ticket.run === request.run &&
      ticket.repo === request.repo &&
      ticket.claims.some((claim) => request.claims.some((other) => share(claim, other))),
  );
  const same = own.find((ticket) => ticket.mode === request.mode && wordsOf(ticket) === wordsOf(request));
  if (same === undefined && own.length > 0) {
    demandAnswer(reply, 409, 'lease_wait_on_self');
    demand(
      own.some(({ id }) => id === reply.body.ticketId),
      'the ticket it stands behind',
      reply.body,
    );
    return;
  }
  if (same === undefined) {
    const graph = waitGraph(m);
    for (const run of inTheWay(m, verdict)) graph.get(request.run)!.add(run);
    const length = shortestCycle(graph, request.run);
    if (length !== null) return judgeDeadlock(m, { graph, length, run: request.run }, reply);
  }
  const ticket = same ?? { ...request, id: null, status: 'waiting', reason: null, joined: false, leases: [] };
  if (same === undefined) m.tickets.push(ticket);
  else same.joined = true;
  ticket.ttlSeconds = Math.max(ticket.ttlSeconds, request.ttlSeconds);
  if (key !== null) m.kept.set(key, { ticket: m.tickets.indexOf(ticket) });
  hear(m.runs[request.run]!);
  judgeTicketAnswer(m, ticket, reply, isAlone);
}

const wordsOf = ({ claims }: Pick<Request, 'claims'>): string =>
  claims
    .map(({ kind, text }) => `${kind} ${text}`)
    .toSorted()
    .join('\n');

/** What a request is answered that waits under a ticket: also what has come of it meanwhile, if others were at work. */
export function judgeTicketAnswer(m: Model, ticket: Ticket, reply: Reply, isAlone: boolean): void {
  const { body } = reply;
  if (!isAlone && isOver(reply)) {
    const told = body.lease ?? body.ticket;
    demand(told.runId === m.runs[ticket.run]!.id, 'what came of a ticket of the run', body);
    ticket.promised = body.lease?.id ?? null;
    return;
  }
  if (ticket.status === 'granted') {
    demandAnswer(reply, 201, null);
    return demand(
      ticket.leases.some(({ id }) => id === body.lease.id),
      'the lease of the ticket',
      body,
    );
  }
  if (ticket.status !== 'waiting') return demandAnswer(reply, 409, 'lease_wait_ended');
  demandAnswer(reply, 202, null);
  const { ticket: told } = body;
  demand(ticket.id === null || ticket.id === told.id, `the ticket ${ticket.id}`, told);
  demand(!m.tickets.some((other) => other !== ticket && other.id === told.id), 'a ticket of its own', told);
  demand(reply.headers.get('location') === `/api/v1/lease-tickets/${told.id}`, 'its location', [...reply.headers]);
  ticket.id = told.id;
  // Of one that is held open there is no view yet.
  if (isAlone && told.isOpen !== true) judgeView(m, ticket, told);
}

/** The rows tell, once the model has settled, whether it is so. */
const isOver = ({ status, body }: Reply): boolean => status === 201 || body.code === 'lease_wait_ended';

function judgeDeadlock(
  m: Model,
  { graph, length, run }: { graph: ReadonlyMap<number, ReadonlySet<number>>; length: number; run: number },
  reply: Reply,
): void {
  demandAnswer(reply, 409, 'lease_deadlock');
  const { cycle } = reply.body as { cycle: { runId: string; waitsFor: { runId: string } }[] };
  const indexOf = (id: string) => m.runs.findIndex((one) => one.id === id);
  const steps = cycle.map((step) => ({ from: indexOf(step.runId), to: indexOf(step.waitsFor.runId) }));
  const isCycle = steps.every(
    ({ from, to }, at) => graph.get(from)?.has(to) === true && to === steps[(at + 1) % steps.length]!.from,
  );
  demand(isCycle && steps[0]!.from === run && steps.length === length, `a cycle of ${length}`, steps);
}

interface Asked {
  readonly request: Request;
  readonly verdict: Conflict;
  readonly ahead: readonly Ticket[];
}

function judgeConflict(m: Model, asked: Asked, reply: Reply): void {
  demandAnswer(reply, 409, 'lease_conflict');
  const { free } = asked.verdict;
  demand(String(reply.body.free) === String(free), `free ${free.join(' ')}`, reply.body.free);
  judgeConflicts(m, asked, reply.body.conflicts);
}

/** Each claim with each of those in its way, once. */
function judgeConflicts(m: Model, { request, verdict, ahead }: Asked, told: Body[]): void {
  const expected: Obstacle<Lease | Ticket>[] = [...verdict.leases, ...verdict.tickets];
  demand(told.length === expected.length, `${expected.length} conflicts: ${expected.map(tell).join(', ')}`, told);
  const left = [...expected];
  for (const conflict of told) {
    const at = left.findIndex(({ claim, by }) => {
      const id = 'end' in by ? conflict.leaseId : conflict.ticketId;
      const other = 'end' in by ? conflict.ticketId : conflict.leaseId;
      const isNamed = id !== null && other === null && (by.id === null || by.id === id);
      return isNamed && conflict.requested === claim.text && conflict.holder.run.id === m.runs[by.run]!.id;
    });
    demand(at >= 0, `one of ${left.map(tell).join(', ')}`, conflict);
    const [{ claim, by }] = left.splice(at, 1) as [Obstacle<Lease | Ticket>];
    const held = by.claims.find(({ text, accepts }) => text === conflict.held && accepts.test(conflict.witness));
    demand(held !== undefined && claim.accepts.test(conflict.witness), 'a path that both would touch', conflict);
    demand(conflict.mode === by.mode, by.mode, conflict);
    const queueLength = waitingFor(m, request, claim, ahead).length;
    demand(conflict.queueLength === queueLength, `queueLength ${queueLength}`, conflict);
    const isClosing = 'end' in by && standing(m, by) === 'closing';
    demand(conflict.closing === isClosing, `closing ${isClosing}`, conflict);
  }
}

const tell = ({ claim, by }: Obstacle<Lease | Ticket>): string =>
  `${claim.text} ${'end' in by ? 'lease' : 'ticket'} ${by.id} of run ${by.run}`;

/** A ticket as it is shown. */
export function judgeView(m: Model, ticket: Ticket, told: Body): void {
  demand(told.id === ticket.id && told.status === ticket.status, `${ticket.id} ${ticket.status}`, told);
  demand(told.reason === ticket.reason, `reason ${ticket.reason}`, told);
  if (ticket.status !== 'waiting') {
    const isSo = ticket.status === 'granted' ? ticket.leases.some(({ id }) => id === told.lease?.id) : !told.lease;
    return demand(isSo && told.position === null, 'what came of it', told);
  }
  const verdict = decideTicket(m, ticket);
  const ahead = m.tickets.slice(0, m.tickets.indexOf(ticket));
  const inFront = verdict.kind === 'conflict' ? new Set(verdict.tickets.map(({ by }) => by)).size : 0;
  demand(told.position === inFront + 1, `position ${inFront + 1}`, told);
  if (verdict.kind === 'conflict') judgeConflicts(m, { request: ticket, verdict, ahead }, told.conflicts);
}
