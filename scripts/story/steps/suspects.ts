import type { Body } from '../api.ts';
import type { Cast } from '../cast.ts';
import { expectLike, expectThat } from '../check.ts';
import { traceIdOf } from '../spans.ts';
import type { Stage } from '../world.ts';
import type { Approved } from './payments.ts';

interface Link {
  readonly [fact: string]: Body;
  readonly kind: string;
  readonly id: string;
  readonly edge: string;
  readonly because: string;
  readonly from: { readonly kind: string; readonly id: string } | null;
}

/** The suspects name the loop that did it first, with the chain from the incident down to who decided, and to the trace. */
export async function findSuspects(
  stage: Stage,
  { onCall, cleo, refactoring }: Cast,
  { incidentId, deployId, approved }: { incidentId: string; deployId: string; approved: Approved },
): Promise<void> {
  const { change } = approved;
  const found = await onCall.get(`/incidents/${incidentId}/suspects`, { status: 200 });
  const { items } = found;
  expectThat(items.length === stage.landed.length, `${stage.landed.length} suspects, got ${items.length}`);
  expectLike('the first suspect', items[0], {
    change: { id: change.id, commit: change.commit, repo: stage.names.repo, intent: 'Round half to even' },
    loop: { id: refactoring.id, name: refactoring.name, owner: { name: refactoring.owner.name } },
    run: { id: refactoring.run.id },
    deploy: { id: deployId },
  });
  expectOdds(found);
  const chain = expectChain(items[0].chain, [
    ['incident', incidentId],
    ['deploy', deployId],
    ['change', change.id],
    ['run', refactoring.run.id],
    ['lease', approved.leaseId],
    ['decision', approved.decisionId],
    ['approval', approved.approvalId],
  ]);
  const [decision, approval] = chain.slice(-2);
  const { rule } = approved;
  const asked = decision!['rules'].find(({ id }: Body) => id === rule.id);
  expectLike('the rule behind the decision', asked, { ...rule, effect: 'require_approval' });
  expectLike('the votes', approval!['approvers'], [{ name: cleo.name, verdict: 'approve' }]);
  const traceId = traceIdOf(refactoring.run.traceparent);
  const [, trace] = expectChain(items[0].chain, [
    ['run', refactoring.run.id],
    ['trace', traceId],
  ]);
  expectLike('the trace', trace, { stored: true });
  const percent = `${(items[0].probability * 100).toFixed(0)} %`;
  const { name, owner } = refactoring;
  await stage.say(onCall.name, `first suspect, ${percent}: ${change.commit.slice(0, 12)} by ${name} of ${owner.name}`);
  for (const { kind, id, because } of chain) stage.timeline.say(onCall.name, `  ${kind} ${id}: ${because}`);
  stage.timeline.say(onCall.name, `  rule ${rule.policy}/${rule.id}: ${rule.reason}`);
  await onCall.get(`/traces/${traceId}`, { status: 200, body: { traceId } });
  stage.timeline.say(onCall.name, `  trace ${traceId}: ${trace!.because}`);
  await expectReport(stage, onCall, incidentId, change.commit);
}

/** The frames are what speaks for the first; with "none of these", all probabilities are one. */
function expectOdds({ items, noneOfThese }: Body): void {
  const [first, second] = items;
  expectThat(first.probability > second.probability, 'the first suspect to be likelier than the second');
  expectThat(first.probability > noneOfThese, 'the first suspect to be likelier than none of these');
  const sum = items.reduce((total: number, { probability }: Body) => total + probability, noneOfThese);
  expectThat(Math.abs(sum - 1) < 1e-6, `probabilities that sum to 1, got ${sum}`);
  const files = first.terms.path.matches.map(({ file }: Body) => file);
  for (const file of ['services/payments/ledger.ts', 'services/payments/rounding.ts'])
    expectThat(files.includes(file), `${file} among the matches of the first suspect: ${files.join()}`);
}

/** Each of these is in the chain, tied to the one before it by a key that is on record. @returns them */
function expectChain(links: readonly Link[], expected: readonly (readonly [string, string])[]): Link[] {
  return expected.map(([kind, id], index) => {
    const found = links.find((link) => link.kind === kind && link.id === id);
    expectThat(found !== undefined, `${kind} ${id} in the chain: ${links.map((link) => link.kind).join(' ')}`);
    const [fromKind, fromId] = expected[index - 1] ?? [];
    if (fromKind !== undefined)
      expectLike(`the chain's ${kind}`, found, { edge: 'exact', from: { kind: fromKind, id: fromId } });
    return found;
  });
}

async function expectReport(stage: Stage, onCall: Cast['onCall'], incidentId: string, commit: string): Promise<void> {
  const report = await onCall.get(`/incidents/${incidentId}/report`, { status: 200 });
  const first = /^### 1\. `([0-9a-f]{12})`/m.exec(String(report))?.[1];
  expectThat(first === commit.slice(0, 12), `the report to name ${commit.slice(0, 12)} first, got ${first}`);
  await stage.say(onCall.name, `the report names ${first} first, too`);
}
