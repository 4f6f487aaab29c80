import { describe, expect, it } from 'vitest';
import { check } from '../../faults/checker/check.ts';
import type { Evidence } from '../../faults/evidence.ts';
import { ANOMALIES, EVENTS } from './anomalies.ts';
import { goodScene } from './good-scene.ts';
import { PASSABLE } from './passable.ts';

function broken(evidence: Evidence): string[] {
  return check(evidence).flatMap(({ invariant, problems }) => (problems.length > 0 ? [invariant] : []));
}

describe('a campaign in which all is well', () => {
  it('breaks nothing, and every invariant had something to look at', () => {
    const verdicts = check(goodScene().scene.evidence());
    expect(verdicts.flatMap(({ problems }) => problems)).toEqual([]);
    expect(verdicts.filter(({ examined }) => examined === 0)).toEqual([]);
  });
});

describe('the checker sees', () => {
  it.each(ANOMALIES)('%s', (_name, breaks, alter) => {
    const good = goodScene();
    const more = alter(good) ?? {};
    const found = broken(good.scene.evidence(more));
    // A hole in the table shifts all fences: more than one invariant may break, but the one named must.
    if (breaks.includes(EVENTS)) expect(found).toEqual(expect.arrayContaining([...breaks]));
    else expect(found.toSorted()).toEqual([...breaks].toSorted());
  });
});

describe('the checker lets pass', () => {
  it.each(PASSABLE)('%s', (_name, alter) => {
    const good = goodScene();
    alter(good);
    expect(broken(good.scene.evidence())).toEqual([]);
  });
});
