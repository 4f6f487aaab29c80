import type { Cast } from '../cast.ts';
import { type Policy, publish } from '../publish.ts';
import type { Stage } from '../world.ts';

const HOUR_MS = 3_600_000;
const REASON = 'Frozen until the books are closed.';

/** A production deploy inside a freeze window is denied, in the words of the rule; another environment's is not. */
export async function freeze(stage: Stage, { onCall }: Cast): Promise<void> {
  const now = Date.now();
  await publish(stage, policyOf(stage, { from: now - HOUR_MS, to: now + 2 * HOUR_MS }), 0);
  const rule = { id: 'freeze', policy: stage.names.freezePolicy, version: 1, effect: 'deny', reason: REASON };
  const denied = { outcome: 'deny', rules: [rule] };
  const decision = await onCall.post('/decisions', question(stage, 'production'), { status: 200, body: denied });
  await stage.seen('decision.recorded', decision.id);
  await stage.say(onCall.name, `denied: ${decision.rules[0].reason}`);
  await onCall.post('/decisions', question(stage, 'staging'), { status: 200, body: { outcome: 'allow' } });
}

/** The window moves to another time of the day: from then on, production may be deployed to. */
export async function thaw(stage: Stage, { onCall }: Cast): Promise<void> {
  const now = Date.now();
  await publish(stage, policyOf(stage, { from: now + 6 * HOUR_MS, to: now + 8 * HOUR_MS }), 1);
  const allowed = { outcome: 'allow' };
  const decision = await onCall.post('/decisions', question(stage, 'production'), { status: 200, body: allowed });
  await stage.seen('decision.recorded', decision.id);
}

const question = ({ names }: Stage, environment: string) => ({
  action: 'deploy',
  subject: { repo: names.repo, service: names.service, environment },
});

function policyOf({ names }: Stage, window: { from: number; to: number }): Policy {
  const hours = `${timeOfDay(window.from)}-${timeOfDay(window.to)}`;
  return {
    name: names.freezePolicy,
    defaults: { deploy: 'allow' },
    rules: [
      {
        id: 'freeze',
        effect: 'deny',
        actions: ['deploy'],
        where: { repo: names.repo, environment: 'production', at: { $within: { hours, timeZone: 'UTC' } } },
        reason: REASON,
      },
    ],
  };
}

const timeOfDay = (atMs: number) => new Date(atMs).toISOString().slice(11, 16);
