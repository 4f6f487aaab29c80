import { type Answer, query } from '../api.ts';
import type { Cast } from '../cast.ts';
import { expectLike, expectThat, show } from '../check.ts';
import type { LoopAtWork, Stage } from '../world.ts';

/** Who got the lease, and who is still without. */
export interface Collision {
  readonly winner: Contender;
  readonly loser: Contender;
  readonly lease: { readonly id: string; readonly fence: number };
}

export interface Contender {
  readonly loop: LoopAtWork;
  readonly pattern: string;
  readonly purpose: string;
}

/** The one path that both patterns match. */
const WITNESS = 'services/checkout/cart.ts';

/** Two loops ask for overlapping paths at the same moment: one gets the lease, the other is told why not. */
export async function collide(stage: Stage, { triage, refactoring }: Cast): Promise<Collision> {
  const contenders: Contender[] = [
    { loop: triage, pattern: 'services/checkout/**', purpose: 'Repairs the tax test.' },
    { loop: refactoring, pattern: 'services/*/cart.ts', purpose: 'Carts take decimals.' },
  ];
  const answers = await Promise.all(contenders.map((one) => ask(stage, one)));
  const won = answers.findIndex(({ status }) => status === 201);
  const statuses = answers.map(({ status }) => status);
  expectThat(
    show(statuses.toSorted((a, b) => a - b)) === '[201,409]',
    `one lease (201) and one refusal (409), got ${show(statuses)}`,
  );
  const [winner, loser] = [contenders[won]!, contenders[1 - won]!];
  const { lease } = answers[won]!.body;
  await stage.seen('lease.granted', lease.id);
  expectLike('the refusal', answers[1 - won]!.body, {
    code: 'lease_conflict',
    conflicts: [
      {
        witness: WITNESS,
        requested: loser.pattern,
        held: winner.pattern,
        leaseId: lease.id,
        purpose: winner.purpose,
        holder: {
          loop: { id: winner.loop.id, name: winner.loop.name },
          run: { id: winner.loop.run.id },
          owner: { name: winner.loop.owner.name },
        },
      },
    ],
  });
  const who = `${winner.loop.name} of ${winner.loop.owner.name}`;
  await stage.say(loser.loop.owner.name, `refused: both would touch ${WITNESS}; ${who} holds it: ${winner.purpose}`);
  await seeContext(stage, loser, lease.id);
  return { winner, loser, lease };
}

/** Without an expectation: which of two gets it is not the story's to say. */
export function ask({ names }: Stage, { loop, pattern, purpose }: Contender): Promise<Answer> {
  const wish = { repo: names.repo, runId: loop.run.id, patterns: [pattern], purpose };
  return loop.owner.send('POST', '/leases', wish);
}

/** Shared context tells the other loop's lease, and nobody else's. */
async function seeContext({ names }: Stage, { loop }: Contender, leaseId: string): Promise<void> {
  const near = query({ repo: names.repo, path: WITNESS, runId: loop.run.id });
  await loop.owner.get(`/context?${near}`, { status: 200, body: { active: [{ leaseId }] } });
}
