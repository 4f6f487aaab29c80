import { describe, expect, it } from 'vitest';
import { renderInbox, renderVote } from '../../../src/adapters/cli/approvals-view.ts';
import type { Approval, Lease, Run, Ticket } from '../../../src/adapters/cli/shapes.ts';
import { renderStatus, type Status } from '../../../src/adapters/cli/status-view.ts';
import { screenOf } from '../../../src/adapters/cli/terminal.ts';
import { widthOf } from '../../../src/adapters/cli/text.ts';
import { duration } from '../../../src/adapters/cli/times.ts';

const NOW = new Date('2026-01-01T12:00:00.000Z');
const after = (seconds: number) => new Date(NOW.getTime() + seconds * 1000).toISOString();
const pipe = screenOf({}, {});
const terminal = (columns: number, env = {}) => screenOf({ isTTY: true, columns }, env);
const uncoloured = (text: string) =>
  text
    .split('\u{1b}')
    .map((part, at) => (at === 0 ? part : part.replace(/^\[\d+m/, '')))
    .join('');

function run(id: string, status = 'running'): Run {
  return { id, loopId: `loop-${id}`, repoId: 'repo', status, startedAt: after(-600), lastBeatAt: after(-5) };
}

function lease(runId: string, leftSeconds: number, more: Partial<Lease> = {}): Lease {
  return {
    id: `lease-${runId}`,
    runId,
    mode: 'exclusive',
    paths: [`src/${runId}.ts`],
    patterns: [],
    resources: [],
    purpose: null,
    expiresAt: after(leftSeconds),
    closedUntil: after(leftSeconds + 15),
    state: 'live',
    holder: { loop: { id: 'loop', name: runId }, owner: { id: 'ada', name: 'Ada' } },
    ...more,
  };
}

function approval(more: Partial<Approval> = {}): Approval {
  return {
    id: '0198c1b2-0000-7000-8000-000000000001',
    status: 'pending',
    action: 'path.edit',
    subject: {
      repo: 'acme/shop',
      purpose: null,
      contentDigest: null,
      parts: [{ action: 'path.edit', subjects: [{ path: 'src/a.ts' }, { path: 'src/b.ts' }] }],
    },
    repo: 'acme/shop',
    requirements: [{ team: 'payments', count: 2, approved: 1, missing: 1 }],
    reason: 'Look first.',
    requester: { kind: 'member', id: 'grace', name: 'Grace' },
    owner: { kind: 'member', id: 'ada', name: 'Ada' },
    loop: { id: 'loop', name: 'triage' },
    runId: null,
    votes: [],
    createdAt: after(-90),
    expiresAt: after(3600),
    ...more,
  };
}

const NAMES = { loops: new Map(), others: new Map() };
const empty: Status = { repo: 'acme/shop', runs: [], leases: [], tickets: [], halts: [], approvals: [] };
const show = (status: Partial<Status>, screen = pipe) =>
  renderStatus({ ...empty, ...status }, NAMES, { now: NOW, screen });

describe('who holds what', () => {
  const status: Partial<Status> = {
    runs: [run('late'), run('soon'), run('silent', 'stalled'), run('asks'), run('closing'), run('none', 'stalled')],
    leases: [
      lease('late', 900, { purpose: 'Everything that has to do with the tax rules, and a good deal more than that.' }),
      lease('soon', 60),
      lease('silent', 3000),
      lease('asks', 3600),
      lease('closing', -5, { state: 'closing' }),
      lease('gone', 120),
    ],
    approvals: [approval({ runId: 'asks' })],
  };

  it('is in the order in which it needs attention', () => {
    const rows = show(status).trimEnd().split('\n').slice(3);
    expect(rows.map((row) => row.split(/ {2,}/).slice(0, 2))).toEqual([
      ['approval', 'asks'],
      ['stalled', 'silent'],
      ['closing', 'closing'],
      ['ended', 'gone'],
      ['running', 'soon'],
      ['running', 'late'],
      ['stalled', 'loop-none'],
    ]);
    // A path whose lease has run out is closed for the lock delay yet.
    expect(rows[2]).toMatch(/ 10s$/);
  });

  it('shows who waits after who is at work, in the order of the line', () => {
    const ticket = (loop: string, more: Partial<Ticket> = {}): Ticket => ({
      id: loop,
      runId: loop,
      mode: 'exclusive',
      paths: ['src/late.ts'],
      patterns: [],
      resources: [],
      purpose: null,
      holder: { loop: { id: loop, name: loop }, owner: { id: 'ada', name: 'Ada' } },
      ...more,
    });
    const tickets = [ticket('zed'), ticket('abe', { paths: [], resources: ['port:5432'] })];
    const rows = show({ ...status, runs: [...status.runs!, run('zed')], tickets })
      .trimEnd()
      .split('\n')
      .slice(3);
    expect(rows.map((row) => row.split(/ {2,}/)).filter(([state]) => state === 'waiting')).toEqual([
      ['waiting', 'zed', 'Ada', 'for src/late.ts', 'exclusive'],
      ['waiting', 'abe', 'Ada', 'for port:5432', 'exclusive'],
    ]);
    expect(rows.filter((row) => row.includes('zed'))).toHaveLength(1);
    expect(show({ ...status, tickets })).toContain('6 leases, 2 waiting');
  });

  it.each([40, 60, 80, 120])('fits a terminal of %d columns', (columns) => {
    const [, , titles, ...rows] = uncoloured(show(status, terminal(columns)))
      .trimEnd()
      .split('\n');
    for (const line of [titles!, ...rows]) expect(widthOf(line)).toBeLessThanOrEqual(columns);
    // The least that is shown, however little room there is.
    for (const title of ['STATE', 'LOOP', 'HOLDS', 'LEFT']) expect(titles).toContain(title);
    expect(rows.find((row) => row.startsWith('running'))).toContain('src/soon.ts');
    expect(titles!.includes('PURPOSE')).toBe(columns >= 60);
  });

  it('cuts nothing for a pipe', () => {
    expect(show(status)).toContain('a good deal more than that.');
    expect(show(status, terminal(100))).toContain('…');
  });

  it('is coloured on a terminal only, and not against the user’s will', () => {
    expect(show(status, terminal(80))).toContain('\u{1b}[31mstalled\u{1b}[39m');
    for (const screen of [pipe, terminal(80, { NO_COLOR: '1' }), terminal(80, { TERM: 'dumb' })]) {
      expect(show(status, screen)).not.toContain('\u{1b}');
    }
    expect(show(status, terminal(80, { NO_COLOR: '' }))).toContain('\u{1b}');
  });
});

describe('the inbox', () => {
  const inbox = (items: Approval[], screen = pipe) => renderInbox(items, { status: 'pending', now: NOW, screen });

  it('shows each subject on a line of its own', () => {
    expect(inbox([approval({ votes: [vote('approve', 'Fine by me.')] })])).toBe(
      [
        '0198c1b2-0000-7000-8000-000000000001  pending',
        '  asks      path.edit src/a.ts',
        '            path.edit src/b.ts',
        '  repo      acme/shop',
        '  asked by  Grace, loop triage, owned by Ada, 1m ago',
        '  because   Look first.',
        '  needs     1 more from team payments',
        '  vote      approve by Linus: Fine by me.',
        '  ends in   1h',
        '',
      ].join('\n'),
    );
  });

  it('shows the end of a long command, and what it does not know', () => {
    const command = `echo ${'harmless '.repeat(40)}; rm -rf everything`;
    const parts = [{ action: 'command.run', subjects: [{ command, repo: 'acme/other' }], patterns: ['src/**'] }];
    const subject = {
      repo: 'acme/shop',
      purpose: 'Tidies\nup.',
      contentDigest: 'sha256:1',
      parts,
      more: { deep: true },
    };
    const shown = inbox([approval({ subject })], terminal(60, { NO_COLOR: '1' }));
    for (const line of shown.split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(60);
    const joined = shown.replaceAll(/\n {12}/g, ' ');
    expect(joined).toContain(`command.run command ${command}, repo acme/other`);
    for (const said of ['patterns ["src/**"]', 'contentDigest sha256:1', 'more {"deep":true}', 'Tidies up.']) {
      expect(joined).toContain(said);
    }
    expect(inbox([approval({ subject: { usd: 5 }, action: 'budget.spend' })])).toContain(
      'asks      budget.spend\n            usd 5\n',
    );
  });

  it('has what runs out first at the top', () => {
    const later = approval({ id: 'later', expiresAt: after(7200) });
    expect(inbox([later, approval({ id: 'sooner' })])).toMatch(/^sooner[^]*\n\nlater/);
  });
});

describe('a vote', () => {
  it('that does not settle it says what is missing', () => {
    expect(renderVote(approval(), pipe)).toBe(
      'pending: path.edit src/a.ts and 1 more (asked by Grace, loop triage, owned by Ada) needs 1 more from team payments\n',
    );
  });
});

describe('a length of time', () => {
  it.each([
    [-5000, '0s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [3_599_000, '59m'],
    [3_600_000, '1h'],
    [11_100_000, '3h 5m'],
    [86_400_000, '1d'],
    [187_200_000, '2d 4h'],
  ])('%d ms is %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});

function vote(verdict: string, comment: string | null): Approval['votes'][number] {
  return { principal: { kind: 'member', id: 'linus', name: 'Linus' }, verdict, comment };
}

it.each([
  [{}, 'No approval waits for a person.'],
  [{ repo: 'acme/shop' }, 'No approval in acme/shop waits for a person.'],
  [{ mine: true }, 'No approval waits for your vote.'],
  [{ status: 'rejected', mine: false }, 'No approval is rejected.'],
])('an empty inbox says what it was asked for: %j', (asked, told) => {
  expect(renderInbox([], { status: 'pending', now: NOW, screen: pipe, ...asked })).toBe(`${told}\n`);
});
