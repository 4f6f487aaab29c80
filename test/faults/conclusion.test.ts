import { expect, it } from 'vitest';
import { conclude, type Outcome } from '../../faults/conclusion.ts';
import { FAULTS } from '../../faults/nemesis/nemesis.ts';
import { BATCH_CUTS, CALL_CUTS } from '../../faults/rig/cutters.ts';

const OUTCOME: Outcome = {
  struck: FAULTS.map((fault) => ({ fault, atMs: 0, detail: '', isHit: true })),
  cutReplies: 1,
  cutCommits: 1,
  cutWrites: new Map([...CALL_CUTS, ...BATCH_CUTS].map((cut) => [cut, 1])),
};
const HELD = [{ invariant: 'no fence came again', examined: 1, problems: [] }];

it('all held if every fault has hit and every check had something to look at', () => {
  expect(conclude(OUTCOME, HELD)).toEqual({ exitCode: 0, text: 'All held' });
});

it('nothing is shown by a check that had nothing to look at', () => {
  expect(conclude(OUTCOME, [{ ...HELD[0]!, examined: 0 }])).toEqual({
    exitCode: 2,
    text: 'inconclusive: nothing to look at for "no fence came again"',
  });
});

it('nothing is shown of a fault that only missed, or never came', () => {
  const [first, second, ...rest] = OUTCOME.struck;
  const struck = [{ ...first!, detail: 'nobody to spare', isHit: false }, ...rest];
  expect(conclude({ ...OUTCOME, struck }, HELD)).toEqual({
    exitCode: 2,
    text: `inconclusive: ${first!.fault} never struck; ${second!.fault} never struck`,
  });
});

it('a cut counts once something was cut, whenever that came', () => {
  const struck = OUTCOME.struck.map((one) => (one.fault === 'cut-call' ? { ...one, isHit: false } : one));
  expect(conclude({ ...OUTCOME, struck }, HELD).exitCode).toBe(0);
  expect(conclude({ ...OUTCOME, cutReplies: 0 }, HELD).text).toBe('inconclusive: cut never struck');
  const cutWrites = new Map([...OUTCOME.cutWrites, ['lose-batch', 0] as const]);
  expect(conclude({ ...OUTCOME, cutWrites }, HELD).text).toBe('inconclusive: cut-batch never struck');
});

it('what is broken is broken, whatever else was not seen', () => {
  const verdicts = [{ ...HELD[0]!, problems: ['fence 1 twice'] }];
  expect(conclude({ ...OUTCOME, struck: [] }, verdicts)).toEqual({ exitCode: 1, text: 'BROKEN' });
});
