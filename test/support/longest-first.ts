import { existsSync } from 'node:fs';
import path from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, of real processes more than of lines: on a fresh clone nobody knows that, and what begins
 * last would be waited for with nothing beside it.
 */
const LONGEST = [
  'test/adapters/git/octopus.test.ts',
  'test/faults/campaign.test.ts',
  'test/platform/database/embedded.crash.test.ts',
  'test/adapters/git/pre-push.test.ts',
  'test/adapters/git/pre-receive.pushes.test.ts',
  'test/adapters/git/pre-receive.trunks.test.ts',
  'test/adapters/git/holders.test.ts',
  'test/main/own-database.test.ts',
  'test/modules/leases/broad.api.test.ts',
  'test/modules/traces/kill.test.ts',
  'test/adapters/git/pre-receive.test.ts',
  'test/adapters/git/merges.test.ts',
];

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { root } = this.ctx.config;
    const longest = LONGEST.map((file) => path.join(root, file));
    const gone = longest.filter((file) => !existsSync(file));
    if (gone.length > 0) throw new Error(`${import.meta.filename} names what is gone: ${gone.join(', ')}`);
    const rank = ({ moduleId }: TestSpecification) => {
      const at = longest.indexOf(path.normalize(moduleId));
      return at < 0 ? longest.length : at;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- no array's: the order that the sequencer would give them
    const others = await super.sort(files);
    return others.toSorted((a, b) => rank(a) - rank(b));
  }
}
