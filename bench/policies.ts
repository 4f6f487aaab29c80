/**
 * `npm run bench:policies`
 * What one decision costs: mean µs of `evaluate` under 100 and 1,000 rules, 90 % allows by path glob with a team,
 * 10 % denies, as in the comparison that chose this design. Processor time, so that a busy machine tells the same.
 * @throws Error for an outcome that no rule says
 */
import {
  compilePolicySet,
  type EvaluationRequest,
  evaluate,
  parsePolicyDocument,
} from '../src/modules/governance/policy/index.ts';

const ROUNDS = 200_000;
const WARM_UP = 20_000;

function effectOf(rule: number): 'allow' | 'deny' {
  return rule % 10 === 9 ? 'deny' : 'allow';
}

/** The rule that request `index` is about. */
function ruleOf(index: number, rules: number): number {
  return (index * 7) % rules;
}

function documentOf(rules: number): string {
  const list = Array.from({ length: rules }, (_, index) => ({
    id: `rule-${index}`,
    effect: effectOf(index),
    actions: ['path.edit'],
    where: { path: { $glob: `services/s${index}/**/*.ts` }, team: `team-${index % 20}` },
    reason: 'Measured.',
  }));
  return JSON.stringify({ name: 'measured', defaults: { 'path.edit': 'deny' }, rules: list });
}

function requestsFor(rules: number): EvaluationRequest[] {
  return Array.from({ length: 512 }, (_, index) => ({
    action: 'path.edit',
    subjects: [{ repo: 'acme/shop', path: `services/s${ruleOf(index, rules)}/src/handlers/file-${index}.ts` }],
    actor: {
      principalId: 'principal',
      role: 'loop',
      loop: { id: 'loop', name: 'nightly', labels: ['triage'] },
      owner: 'owner',
      teams: [`team-${ruleOf(index, rules) % 20}`],
    },
    run: { id: 'run', iteration: 1, status: 'running' },
    at: new Date('2026-11-20T10:00:00Z'),
    caseSensitive: true,
  }));
}

function measure(rules: number): void {
  const started = performance.now();
  const parsed = parsePolicyDocument(documentOf(rules), 'json');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  const parseMs = performance.now() - started;
  const compiling = performance.now();
  const set = compilePolicySet([{ name: 'measured', version: 1, document: parsed.document }]);
  const compileMs = performance.now() - compiling;
  const requests = requestsFor(rules);
  const expected = requests.map((_, index) => effectOf(ruleOf(index, rules)));
  const denied = expected.filter((effect) => effect === 'deny').length / expected.length;
  const run = (rounds: number): void => {
    for (let round = 0; round < rounds; round++) {
      const index = round % requests.length;
      const { outcome } = evaluate(set, requests[index]!);
      if (outcome !== expected[index]) throw new Error(`request ${index} under ${rules} rules: ${outcome}`);
    }
  };
  run(WARM_UP);
  const begun = process.cpuUsage();
  run(ROUNDS);
  const { user, system } = process.cpuUsage(begun);
  const microseconds = (user + system) / ROUNDS;
  console.log(
    `${rules} rules: ${microseconds.toFixed(2)} µs a decision; parse ${parseMs.toFixed(0)} ms, compile ${compileMs.toFixed(0)} ms; ${Math.round(100 * denied)} % denied`,
  );
}

for (const rules of [100, 1_000]) measure(rules);
