import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCampaign } from '../../faults/campaign.ts';
import { check } from '../../faults/checker/check.ts';
import { conclude } from '../../faults/conclusion.ts';
import { type Folder, temporaryFolder } from '../../faults/rig/folder.ts';
import { built } from '../main/process.ts';

let folder: Folder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder?.remove());

/** `npm run faults:leases` in little: every kind of fault once, and as much work as fits beside them. */
it('three servers keep every promise about leases while they are killed, paused and cut off, and PostgreSQL with them', async () => {
  const seed = Number(process.env['FAULTS_SEED'] ?? randomInt(1, 2 ** 31));
  const options = { seconds: 6, clients: 12, servers: 3, rounds: 1, gapMs: [100, 500], longPauses: 0 } as const;
  const campaign = await runCampaign({ seed, main: built('main.js'), folder: folder.path, ...options });
  const verdicts = check(campaign.evidence);
  // The seed is part of what is compared, so that a failure shows it.
  const broken = verdicts.filter(({ problems }) => problems.length > 0);
  expect({ seed, broken }).toEqual({ seed, broken: [] });

  // It was none of the easy ways to keep promises: everything struck, and was survived by work.
  expect({ seed, ...conclude(campaign, verdicts) }).toEqual({ seed, exitCode: 0, text: 'All held' });
}, 180_000);
