import type { Caller } from './api.ts';
import type { Worktree } from './checkout.ts';
import type { LoopAtWork, Stage } from './world.ts';

type Member = Caller & { readonly memberId: string };

/** Who plays: two developers with three loops in two worktrees, a colleague of one of them, and who is on call. */
export interface Cast {
  readonly ada: Member;
  readonly ben: Member;
  /** Of the payments team, as Ben is. */
  readonly cleo: Member;
  readonly onCall: Caller;
  readonly triage: LoopAtWork;
  readonly refactoring: LoopAtWork;
  readonly dependencies: LoopAtWork;
}

export async function gather(stage: Stage): Promise<Cast> {
  const { admin, names, checkout } = stage;
  const { id: payments } = await admin.post('/teams', { name: names.paymentsTeam }, { status: 201 });
  const ada = await newMember(stage, 'Ada', []);
  const ben = await newMember(stage, 'Ben', [payments]);
  const cleo = await newMember(stage, 'Cleo', [payments]);
  const key = await admin.post('/api-keys', { name: 'on call', role: 'sre' }, { status: 201 });
  stage.timeline.name(key.id, 'on call');
  revokeAtEnd(stage, key.id);
  const [adasTree, bensTree] = [await checkout.worktree('ada'), await checkout.worktree('ben')];
  return {
    ada,
    ben,
    cleo,
    onCall: stage.caller(key, 'on call'),
    triage: await startLoop(stage, ada, adasTree, 'triage', ['services/checkout/**']),
    refactoring: await startLoop(stage, ben, bensTree, 'refactoring', ['services/**']),
    dependencies: await startLoop(stage, ada, adasTree, 'dependencies', ['package.json']),
  };
}

async function newMember(stage: Stage, name: string, teams: string[]): Promise<Member> {
  const person = { name, email: stage.names.email(name), teams };
  const { id: memberId } = await stage.admin.post('/members', person, { status: 201 });
  const binding = { name: `${name}'s key`, role: 'member', memberId };
  const key = await stage.admin.post('/api-keys', binding, { status: 201, body: { memberId } });
  stage.timeline.name(memberId, name);
  revokeAtEnd(stage, key.id);
  return { ...stage.caller(key, name), memberId };
}

function revokeAtEnd({ admin, undo }: Stage, keyId: string): void {
  undo.push(() => admin.delete(`/api-keys/${keyId}`, { status: 200 }));
}

async function startLoop(
  stage: Stage,
  owner: Member,
  worktree: Worktree,
  name: string,
  scope: string[],
): Promise<LoopAtWork> {
  const { repo } = stage.names;
  const loop = await owner.post('/loops', { name, repo, scope }, { status: 201, body: { name, repo, version: 1 } });
  const start = { trigger: 'manual', branch: worktree.branch, worktree: worktree.path };
  const run = await owner.post(`/loops/${loop.id}/runs`, start, { status: 201, body: { status: 'running' } });
  stage.timeline.name(loop.id, name);
  const end = { epoch: run.epoch, outcome: { status: 'cancelled' } };
  // Refused where the story has come to its end, and the run with it.
  stage.undo.push(() => owner.send('POST', `/runs/${run.id}/finish`, end));
  return { name, id: loop.id, run, owner, worktree };
}
