import { askedFor, purposeOf } from './asked.ts';
import type { Approval } from './shapes.ts';
import type { Screen } from './terminal.ts';
import { pad, plain, wrap } from './text.ts';
import { duration } from './times.ts';

const INDENT = '  ';
const LABEL_WIDTH = 10;

/** Nothing is cut: who approves a command has to see its end, too. @returns complete lines */
export function renderInbox(
  approvals: readonly Approval[],
  { status, repo, mine, now, screen }: { status: string; repo?: string; mine?: boolean; now: Date; screen: Screen },
): string {
  if (approvals.length === 0) {
    const which = `No approval${repo === undefined ? '' : ` in ${plain(repo)}`}`;
    if (mine === true) return `${which} waits for your vote.\n`;
    return status === 'pending' ? `${which} waits for a person.\n` : `${which} is ${plain(status)}.\n`;
  }
  const soonest = approvals.toSorted((a, b) => a.expiresAt.localeCompare(b.expiresAt, 'en'));
  return `${soonest.map((approval) => block(approval, now, screen)).join('\n\n')}\n`;
}

function block(approval: Approval, now: Date, screen: Screen): string {
  const facts: [string, string][] = askedFor(approval).map((line, at) => [at === 0 ? 'asks' : '', line]);
  const purpose = purposeOf(approval);
  if (purpose !== null) facts.push(['purpose', plain(purpose)]);
  if (approval.repo !== null) facts.push(['repo', plain(approval.repo)]);
  facts.push(['asked by', `${askerOf(approval)}, ${duration(now.getTime() - Date.parse(approval.createdAt))} ago`]);
  facts.push(['because', plain(approval.reason)]);
  const needs = needsOf(approval);
  if (approval.status === 'pending' && needs !== '') facts.push(['needs', needs]);
  for (const { principal, verdict, comment } of approval.votes) {
    facts.push(['vote', `${plain(verdict)} by ${nameOf(principal)}${comment === null ? '' : `: ${plain(comment)}`}`]);
  }
  if (approval.status === 'pending') facts.push(['ends in', duration(Date.parse(approval.expiresAt) - now.getTime())]);
  const lines = facts.flatMap(([label, value]) => fact(label, value, screen));
  return [`${screen.paint('bold', plain(approval.id))}  ${plain(approval.status)}`, ...lines].join('\n');
}

function fact(label: string, value: string, { width, paint }: Screen): string[] {
  const room = width - INDENT.length - LABEL_WIDTH;
  return wrap(value, room).map((line, at) => INDENT + paint('dim', pad(at === 0 ? label : '', LABEL_WIDTH)) + line);
}

function askerOf({ requester, loop, owner }: Approval): string {
  const parts = [nameOf(requester)];
  if (loop !== null) parts.push(`loop ${nameOf(loop)}`);
  if (owner !== null && owner.id !== requester.id) parts.push(`owned by ${nameOf(owner)}`);
  return parts.join(', ');
}

function needsOf({ requirements }: Approval): string {
  return requirements
    .filter(({ missing }) => missing > 0)
    .map(({ missing, team }) => `${missing} more from ${team === null ? 'any other member' : `team ${plain(team)}`}`)
    .join(', and ');
}

/** What a vote has led to, on one line. */
export function renderVote(approval: Approval, { paint }: Screen): string {
  const [first = '', ...others] = askedFor(approval);
  const what = `${first}${others.length === 0 ? '' : ` and ${others.length} more`} (asked by ${askerOf(approval)})`;
  if (approval.status === 'pending') {
    return `${paint('yellow', 'pending')}: ${what} needs ${needsOf(approval)}\n`;
  }
  return `${paint(approval.status === 'approved' ? 'green' : 'red', plain(approval.status))}: ${what}\n`;
}

const nameOf = ({ id, name }: { id: string; name: string | null }): string => plain(name ?? id);
