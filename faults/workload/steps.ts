import type { Random } from '../random.ts';

/** What a client may do next; `Client` says how. */
export type Step =
  | 'acquire'
  | 'admit'
  | 'twins'
  | 'quiet'
  | 'renew'
  | 'release'
  | 'verify'
  | 'heartbeat'
  | 'finish'
  | 'last-wish'
  | 'resume'
  | 'duplicate'
  | 'stale'
  | 'foreign'
  | 'poll'
  | 'cancel'
  | 'impatient'
  | 'revoke'
  | 'nap';

type Weights = Partial<Readonly<Record<Step, number>>>;

const ANYWAY: Weights = {
  heartbeat: 1,
  finish: 0.3,
  'last-wish': 0.5,
  resume: 0.2,
  revoke: 0.3,
  duplicate: 0.6,
  twins: 0.4,
  stale: 0.8,
  nap: 0.05,
};

const EMPTY_HANDED: Weights = { ...ANYWAY, acquire: 10, admit: 1.5, quiet: 3 };

const HOLDING: Weights = {
  ...ANYWAY,
  revoke: 0.7,
  acquire: 3,
  admit: 0.7,
  quiet: 2,
  renew: 3,
  release: 6,
  verify: 0.7,
  stale: 2,
  foreign: 1.5,
  nap: 0.15,
};

const WAITING: Weights = {
  poll: 6,
  cancel: 1,
  impatient: 0.5,
  heartbeat: 1,
  renew: 1,
  release: 3,
  acquire: 0.5,
  finish: 0.2,
  nap: 0.1,
};

export function chooseStep(random: Random, has: { readonly leases: number; readonly tickets: number }): Step {
  if (has.tickets > 0) return random.weighted(WAITING);
  return random.weighted(has.leases > 0 ? HOLDING : EMPTY_HANDED);
}
