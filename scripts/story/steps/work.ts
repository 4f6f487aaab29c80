import type { Cast } from '../cast.ts';
import { expectThat, show } from '../check.ts';
import { land } from '../land.ts';
import type { Stage } from '../world.ts';
import { ask, type Collision, type Contender } from './collide.ts';

/** What each of the two does to the checkout; neither undoes the other. */
const WORK: Readonly<Record<string, { message: string; files: Record<string, string> }>> = {
  triage: {
    message: 'Repair the tax test',
    files: { 'services/checkout/tax.ts': 'export const TAX = 0.19;\nexport const REDUCED = 0.07;\n' },
  },
  refactoring: {
    message: 'Carts take decimals',
    files: {
      'services/checkout/cart.ts': 'export const total = (prices: bigint[]) => prices.reduce((a, b) => a + b, 0n);\n',
    },
  },
};

/** Who holds the lease lands and lets go; only then the other one gets it, with a higher fence. A third loop lands beside. */
export async function landInTurn(stage: Stage, { dependencies }: Cast, collision: Collision): Promise<void> {
  const { winner, loser, lease } = collision;
  await landOwn(stage, winner);
  await winner.loop.owner.post(`/leases/${lease.id}/release`, { fence: lease.fence }, { status: 200 });
  await stage.seen('lease.released', lease.id);
  const { status, body } = await ask(stage, loser);
  expectThat(status === 201, `the lease to be free once it is released, got ${status} ${show(body)}`);
  const { id, fence } = body.lease;
  expectThat(fence > lease.fence, `a fence above ${lease.fence}, got ${fence}`);
  await stage.seen('lease.granted', id);
  await landOwn(stage, loser);

  const { owner, run } = dependencies;
  const edit = { repo: stage.names.repo, runId: run.id, action: 'path.edit', paths: ['package.json'] };
  const allowed = await owner.post('/admissions', edit, { status: 200, body: { outcome: 'allow' } });
  await stage.seen('lease.granted', allowed.lease.id);
  const manifest = { name: 'shop', dependencies: { decimal: '2.0.0' } };
  await land(stage, dependencies, 'Raise decimal to 2', { 'package.json': `${JSON.stringify(manifest)}\n` });
}

async function landOwn(stage: Stage, { loop }: Contender): Promise<void> {
  const { message, files } = WORK[loop.name]!;
  await land(stage, loop, message, files);
}
