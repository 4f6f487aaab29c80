import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCampaign } from '../../faults/campaign.ts';
import { check } from '../../faults/checker/check.ts';
import { FAULTS } from '../../faults/nemesis/nemesis.ts';
import { buildServer } from '../../faults/rig/build.ts';
import { type Folder, temporaryFolder } from '../../faults/rig/folder.ts';

let folder: Folder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder?.remove());

/** `npm run faults:leases` in little: every kind of fault once, and as much work as fits beside them. */
it('three servers keep every promise about leases while they are killed, paused and cut off, and PostgreSQL with them', async () => {
  const seed = Number(process.env['FAULTS_SEED'] ?? randomInt(1, 2 ** 31));
  const main = await buildServer(folder.path);
  const options = { seconds: 6, clients: 12, servers: 3, rounds: 1, gapMs: [100, 500], longPauses: 0 } as const;
  const { evidence, struck, cutReplies, cutCommits, cutWrites } = await runCampaign({
    seed,
    main,
    folder: folder.path,
    ...options,
  });
  const verdicts = check(evidence);
  // The seed is part of what is compared, so that a failure shows it.
  const broken = verdicts.filter(({ problems }) => problems.length > 0);
  expect({ seed, broken }).toEqual({ seed, broken: [] });

  // It was none of the easy ways to keep promises: everything struck, and was survived by work.
  expect([...new Set(struck.map(({ fault }) => fault))].toSorted()).toEqual([...FAULTS].toSorted());
  expect(struck.filter(({ fault }) => fault === 'hold').map(({ detail }) => detail)).toContainEqual(
    expect.stringContaining('held the row'),
  );
  expect(struck.filter(({ fault }) => fault === 'overtake').map(({ detail }) => detail)).toContainEqual(
    expect.stringContaining('ended before'),
  );
  expect(struck.filter(({ fault }) => fault === 'rival').map(({ detail }) => detail)).toContainEqual(
    expect.stringContaining('asked before'),
  );
  expect(cutReplies).toBeGreaterThan(0);
  expect(cutCommits).toBeGreaterThan(0);
  for (const [cut, times] of cutWrites) expect({ cut, times }).not.toEqual({ cut, times: 0 });
  expect(verdicts.filter(({ examined }) => examined === 0)).toEqual([]);
}, 180_000);
