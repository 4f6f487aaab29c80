import { isRepoName } from '../../platform/repo-name.ts';
import { Api } from './api.ts';
import { renderInbox, renderVote } from './approvals-view.ts';
import { CLIENT_HELP, CLIENT_OPTIONS, type Command, type Context, textOf, type Values } from './command.ts';
import { connectionOf } from './connection.ts';
import { UsageError } from './failure.ts';
import { approvalShape } from './shapes.ts';
import { json } from './text.ts';

const STATUSES = ['pending', 'approved', 'rejected', 'expired', 'spent'];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const help = `signalbox approvals [list] [--mine] [--status STATUS] [--repo owner/name]
signalbox approvals approve ID [--comment TEXT]
signalbox approvals reject ID [--comment TEXT]

What waits for a person, what runs out first at the top; and your vote on it. Neither who asked nor the loop's owner
can vote.

  --mine             only those that you may still vote on
  --status STATUS    ${STATUSES.join(', ')}; pending if not given
  --repo owner/name  only those of a repo
  --comment TEXT     kept with the vote, and read by whoever asked
${CLIENT_HELP}

With --json: {items, nextCursor} with all items, and after a vote the approval as it is then.
`;

export const approvals: Command = {
  summary: 'what waits for a person, and your vote on it',
  help,
  options: {
    ...CLIENT_OPTIONS,
    mine: { type: 'boolean' },
    status: { type: 'string' },
    repo: { type: 'string' },
    comment: { type: 'string' },
  },
  async run({ values, words }, context) {
    const [verb = 'list', ...rest] = words;
    if (verb === 'list') return list(values, rest, context);
    if (verb === 'approve' || verb === 'reject') return vote(verb, values, rest, context);
    throw new UsageError(`approvals has no command "${verb}"; it has list, approve and reject`);
  },
};

async function list(values: Values, words: readonly string[], { env, screen, print }: Context): Promise<void> {
  if (words.length > 0) throw new UsageError('approvals list takes no arguments');
  refuse(values, ['comment'], 'approvals list');
  const status = textOf(values, 'status') ?? 'pending';
  if (!STATUSES.includes(status)) throw new UsageError(`--status: expected one of ${STATUSES.join(', ')}`);
  const repo = textOf(values, 'repo');
  if (repo !== undefined && !isRepoName(repo)) throw new UsageError('--repo: expected owner/name');
  const mine = values['mine'] === true;
  const api = new Api(connectionOf(values, env));
  const items = await api.list('/approvals', approvalShape, { status, repo, mine: mine ? 'true' : undefined });
  if (values['json'] === true) print(`${json({ items, nextCursor: null })}\n`);
  else print(renderInbox(items, { status, mine, now: api.now(), screen, ...(repo === undefined ? {} : { repo }) }));
}

async function vote(
  verdict: 'approve' | 'reject',
  values: Values,
  words: readonly string[],
  { env, screen, print }: Context,
): Promise<void> {
  const [id, ...rest] = words;
  refuse(values, ['mine', 'status', 'repo'], `approvals ${verdict}`);
  if (id === undefined || rest.length > 0) throw new UsageError(`approvals ${verdict} takes the id of one approval`);
  if (!UUID.test(id))
    throw new UsageError(`approvals ${verdict}: an approval's id is a UUID; "signalbox approvals" shows it`);
  const comment = textOf(values, 'comment');
  const ballot = { verdict, ...(comment === undefined ? {} : { comment }) };
  const api = new Api(connectionOf(values, env));
  const settled = await api.post(`/approvals/${id}/votes`, ballot, approvalShape);
  if (values['json'] === true) print(`${json(settled)}\n`);
  else print(renderVote(settled, screen));
}

/** An option that would mean nothing here is a mistake, and not to be passed over. */
function refuse(values: Values, names: readonly string[], command: string): void {
  const given = names.find((name) => values[name] !== undefined);
  if (given !== undefined) throw new UsageError(`${command} has no option --${given}`);
}
