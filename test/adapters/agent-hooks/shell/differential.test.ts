import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scripts } from './commands.ts';
import { compare } from './sandbox.ts';
import { TRICKS } from './tricks.ts';

/** How many random commands to compare; each starts a real bash. */
const RUNS = Number(process.env['SHELL_DIFFERENTIAL_RUNS'] ?? 100);

describe('next to real bash', () => {
  test.each(TRICKS)('%s', (command) => {
    const { analysis, missed } = compare(command);
    expect(missed, `effects ${JSON.stringify(analysis.effects)}`).toEqual([]);
  });

  test('every file that a random command changes is claimed, or the command is flagged', () => {
    let unflagged = 0;
    let changing = 0;
    fc.assert(
      fc.property(scripts, (command) => {
        const { analysis, changed, missed } = compare(command);
        if (analysis.flags.length === 0) unflagged += 1;
        if (analysis.flags.length === 0 && changed.length > 0) changing += 1;
        expect(missed, `effects ${JSON.stringify(analysis.effects)}`).toEqual([]);
      }),
      { numRuns: RUNS },
    );
    // The comparison says something only where the analysis commits itself and bash does change files.
    expect(unflagged).toBeGreaterThan(RUNS / 10);
    expect(changing).toBeGreaterThan(RUNS / 25);
  }, 600_000);
});
