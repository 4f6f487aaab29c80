import type { Stage } from './world.ts';

export interface Policy {
  readonly name: string;
  readonly defaults: Readonly<Record<string, string>>;
  readonly rules: readonly object[];
}

/** Puts a policy in force as the next version after `expectedVersion`. */
export async function publish(stage: Stage, policy: Policy, expectedVersion: number): Promise<void> {
  const { admin, undo, seen } = stage;
  const { name } = policy;
  await admin.put(`/policies/${name}/draft`, policy, { status: 200 });
  const version = expectedVersion + 1;
  await admin.post(`/policies/${name}/publish`, { expectedVersion }, { status: 200, body: { version } });
  // Policies stay; one without rules rules nothing.
  if (expectedVersion === 0) undo.push(() => empty(stage, name));
  await seen('policy.published', name);
}

async function empty({ admin }: Stage, name: string): Promise<void> {
  await admin.put(`/policies/${name}/draft`, { name, defaults: {}, rules: [] }, { status: 200 });
  await admin.post(`/policies/${name}/publish`, {}, { status: 200 });
}
