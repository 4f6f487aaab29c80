import type { Approval, Halt, Lease, Loop, Run, Ticket } from './shapes.ts';
import { type Column, type Screen, type Style, table } from './terminal.ts';
import { plain, wrap } from './text.ts';
import { duration } from './times.ts';

export interface Status {
  readonly repo: string;
  readonly runs: readonly Run[];
  readonly leases: readonly Lease[];
  /** Who waits for a lease, first come first. */
  readonly tickets: readonly Ticket[];
  readonly halts: readonly Halt[];
  /** Those that wait in this repo; null when the key may not list them. */
  readonly approvals: readonly Approval[] | null;
}

export interface Names {
  readonly loops: ReadonlyMap<string, Loop>;
  /** Of members and teams. */
  readonly others: ReadonlyMap<string, string>;
}

/** A lease, or a run that has none. All of it is plain text. */
interface Row {
  readonly state: State;
  readonly loop: string;
  readonly owner: string;
  readonly paths: string;
  readonly mode: string;
  readonly leftMs: number | null;
  readonly purpose: string;
}

/**
 * Who needs somebody's attention comes first: a run that waits for a person; paths that are held and nobody moves; what
 * is not known to be alive; then who is at work, and last who holds nothing.
 */
type State = 'approval' | 'stalled' | 'closing' | 'ended' | 'running' | 'waiting';
const RANKS: Readonly<Record<State, number>> = {
  approval: 0,
  stalled: 1,
  closing: 2,
  ended: 3,
  running: 4,
  waiting: 5,
};
const STYLES: Readonly<Record<State, Style>> = {
  approval: 'yellow',
  stalled: 'red',
  closing: 'red',
  ended: 'dim',
  running: 'green',
  waiting: 'yellow',
};
const WITHOUT_LEASE = 6;

const COLUMNS: readonly Column<Row>[] = [
  { title: 'STATE', text: ({ state }) => state, style: ({ state }) => STYLES[state] },
  { title: 'LOOP', text: ({ loop }) => loop, gives: 2, least: 6 },
  { title: 'OWNER', text: ({ owner }) => owner, gives: 3, drops: 2 },
  { title: 'HOLDS', text: ({ paths }) => paths, gives: 1, least: 12 },
  { title: 'MODE', text: ({ mode }) => mode, gives: 4, drops: 1 },
  { title: 'LEFT', text: ({ leftMs }) => (leftMs === null ? '' : duration(leftMs)) },
  { title: 'PURPOSE', text: ({ purpose }) => purpose, gives: 0, drops: 0 },
];

/** @returns complete lines */
export function renderStatus(status: Status, names: Names, { now, screen }: { now: Date; screen: Screen }): string {
  const rows = rowsOf(status, names, now);
  const lines = [
    heading(status, screen),
    ...status.halts.flatMap((halt) => haltLines(halt, { status, names, now, screen })),
    ...(rows.length === 0 ? [] : ['', ...table(COLUMNS, rows, screen)]),
  ];
  return `${lines.join('\n')}\n`;
}

function heading({ repo, runs, leases, tickets, approvals }: Status, { paint }: Screen): string {
  const facts =
    runs.length + leases.length === 0 ? ['nobody is at work'] : [count(runs, 'run'), count(leases, 'lease')];
  if (tickets.length > 0) facts.push(`${tickets.length} waiting`);
  if (approvals === null) facts.push('approvals: this key may not list them');
  else if (approvals.length > 0) {
    facts.push(
      paint('yellow', `${count(approvals, 'approval')} ${approvals.length === 1 ? 'waits' : 'wait'} for a person`),
    );
  }
  return `${paint('bold', plain(repo))}: ${facts.join(', ')}`;
}

function haltLines(halt: Halt, about: { status: Status; names: Names; now: Date; screen: Screen }): string[] {
  const { status, names, now, screen } = about;
  const text = `HALT over ${scopeOf(halt, status.repo, names)} for ${duration(now.getTime() - Date.parse(halt.createdAt))}: ${plain(halt.reason)}`;
  return wrap(text, screen.width).map((line) => screen.paint('red', line));
}

function scopeOf({ scope: { kind, id } }: Halt, repo: string, names: Names): string {
  if (id === null) return 'the whole org';
  if (kind === 'repo') return plain(repo);
  const name = kind === 'loop' ? names.loops.get(id)?.name : names.others.get(id);
  return `${plain(kind)} ${plain(name ?? id)}`;
}

function rowsOf({ runs, leases, tickets, approvals }: Status, names: Names, now: Date): Row[] {
  const waiting = new Set(approvals?.map(({ runId }) => runId));
  const live = new Map(runs.map((run) => [run.id, run]));
  const held = leases.map((lease) => leaseRow(lease, { run: live.get(lease.runId), waiting, now }));
  const holding = new Set([...leases, ...tickets].map(({ runId }) => runId));
  const idle = runs.filter(({ id }) => !holding.has(id)).map((run) => runRow(run, { waiting, names }));
  return [...held, ...idle, ...tickets.map(ticketRow)].toSorted(
    (a, b) =>
      rank(a) - rank(b) ||
      (a.leftMs ?? 0) - (b.leftMs ?? 0) ||
      // Who waits stays in the order of the line.
      (a.state === 'waiting' ? 0 : a.loop.localeCompare(b.loop, 'en')),
  );
}

function rank({ state, leftMs }: Row): number {
  return leftMs === null && state !== 'approval' && state !== 'waiting' ? WITHOUT_LEASE : RANKS[state];
}

function leaseRow(
  lease: Lease,
  { run, waiting, now }: { run: Run | undefined; waiting: ReadonlySet<string | null>; now: Date },
): Row {
  const isClosing = lease.state === 'closing';
  const until = Date.parse(isClosing ? lease.closedUntil : lease.expiresAt);
  const { loop, owner } = lease.holder;
  return {
    state: isClosing ? 'closing' : stateOf(run, waiting),
    loop: nameOf(loop),
    owner: nameOf(owner),
    paths: claimsOf(lease),
    mode: plain(lease.mode),
    leftMs: until - now.getTime(),
    purpose: plain(lease.purpose ?? ''),
  };
}

function ticketRow(ticket: Ticket): Row {
  const { loop, owner } = ticket.holder;
  return {
    state: 'waiting',
    loop: nameOf(loop),
    owner: nameOf(owner),
    paths: `for ${claimsOf(ticket)}`,
    mode: plain(ticket.mode),
    leftMs: null,
    purpose: plain(ticket.purpose ?? ''),
  };
}

function claimsOf({ paths, patterns, resources }: Pick<Lease, 'paths' | 'patterns' | 'resources'>): string {
  return plain([...paths, ...patterns, ...resources].join(', '));
}

function runRow(run: Run, { waiting, names }: { waiting: ReadonlySet<string | null>; names: Names }): Row {
  const loop = names.loops.get(run.loopId);
  const owner = loop === undefined ? '' : plain(names.others.get(loop.owner.id) ?? loop.owner.id);
  const name = plain(loop?.name ?? run.loopId);
  return { state: stateOf(run, waiting), loop: name, owner, paths: '', mode: '', leftMs: null, purpose: '' };
}

function stateOf(run: Run | undefined, waiting: ReadonlySet<string | null>): State {
  if (run === undefined) return 'ended';
  if (waiting.has(run.id)) return 'approval';
  return run.status === 'stalled' ? 'stalled' : 'running';
}

const nameOf = ({ id, name }: { id: string; name: string | null }): string => plain(name ?? id);

function count(items: readonly unknown[], noun: string): string {
  return `${items.length} ${noun}${items.length === 1 ? '' : 's'}`;
}
