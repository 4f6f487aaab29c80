import { describe, expect, it } from 'vitest';
import { type Claim, type KnownRun, Linker } from '../../../src/modules/traces/link.ts';
import type { Principal } from '../../../src/platform/principal.ts';

const principal = (memberId: string, loopId: string | null = null): Principal => ({
  orgId: 'org',
  keyId: 'key',
  role: 'member',
  memberId,
  loopId,
});
const run = (id: string, loopId: string, ownerId: string, sessionId: string | null, startedNanos = 0n): KnownRun => ({
  id,
  loopId,
  ownerId,
  sessionId,
  startedNanos,
});
const RUNS = [
  run('r1', 'a', 'ada', 's', 100n),
  run('r2', 'a', 'ada', 's', 200n),
  run('r3', 'b', 'bob', 's', 150n),
  run('r4', 'b', 'bob', 't', 150n),
];
const LOOPS = [
  { id: 'a', ownerId: 'ada' },
  { id: 'b', ownerId: 'bob' },
];

const link = (who: Principal, claim: Partial<Claim>, at = 500n) =>
  Object.values(
    new Linker(who, { runs: RUNS, loops: LOOPS }).linkOf({ loopId: null, runId: null, sessionId: null, ...claim }, at),
  );

describe('a link', () => {
  it.each([
    ['a run of a loop of its own', principal('ada'), { runId: 'r1' }, ['a', 'r1', 'exact']],
    ["a run of somebody else's loop", principal('bob'), { runId: 'r1' }, ['a', 'r1', 'inferred']],
    [
      "a key bound to the loop, though it is not its owner's",
      principal('bob', 'a'),
      { runId: 'r1' },
      ['a', 'r1', 'exact'],
    ],
    ['a key of the owner, bound to another loop', principal('ada', 'b'), { runId: 'r1' }, ['a', 'r1', 'inferred']],
    ['a loop alone', principal('ada'), { loopId: 'a' }, ['a', null, 'exact']],
    ["somebody else's loop alone", principal('ada'), { loopId: 'b' }, ['b', null, 'inferred']],
    ['a run with its loop', principal('ada'), { loopId: 'a', runId: 'r2' }, ['a', 'r2', 'exact']],
    ['a run with another loop', principal('ada'), { loopId: 'b', runId: 'r2' }, ['a', 'r2', 'inferred']],
    ['a run before the session', principal('ada'), { runId: 'r1', sessionId: 't' }, ['a', 'r1', 'exact']],
    ['a run that nobody knows, with a session', principal('bob'), { runId: 'x', sessionId: 't' }, ['b', 'r4', 'exact']],
    ["a session of its own, though another's is newer", principal('bob'), { sessionId: 's' }, ['b', 'r3', 'exact']],
    ["a session of somebody else's", principal('ada'), { sessionId: 't' }, ['b', 'r4', 'inferred']],
    [
      'a session with the loop that is named',
      principal('ada'),
      { loopId: 'b', sessionId: 's' },
      ['b', 'r3', 'inferred'],
    ],
    [
      'a session of another loop than the one named',
      principal('ada'),
      { loopId: 'a', sessionId: 't' },
      ['a', null, 'exact'],
    ],
    ['nothing that is known', principal('ada'), { loopId: 'x', runId: 'x', sessionId: 'x' }, [null, null, null]],
    ['nothing', principal('ada'), {}, [null, null, null]],
  ])('from %s', (_what, who, claim, expected) => {
    expect(link(who, claim)).toEqual(expected);
  });

  it('of a session that was resumed is to the run that went on then', () => {
    const at = (nanos: bigint) => link(principal('ada'), { sessionId: 's' }, nanos)[1];
    expect([at(50n), at(150n), at(200n), at(999n)]).toEqual(['r1', 'r1', 'r2', 'r2']);
  });
});
