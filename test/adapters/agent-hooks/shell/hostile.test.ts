import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { analyseCommand, FLAG_CODES } from '../../../../src/adapters/agent-hooks/shell/index.ts';
import { scripts } from './commands.ts';

const RUNS = Number(process.env['SHELL_HOSTILE_RUNS'] ?? 2_000);
/** Milliseconds; a command an agent writes takes well under one. */
const SLOWEST = 2_000;

function analyseInTime(command: string) {
  const start = performance.now();
  const analysis = analyseCommand(command, { cwd: '/w/repo', home: '/home/u' });
  expect(performance.now() - start, command.slice(0, 80)).toBeLessThan(SLOWEST);
  return analysis;
}

const FRAGMENTS =
  '( ) { } [ ] [[ ]] (( )) $( ` " \' \\ $ ${ } ; & && | || > >> < << <<< <( >( EOF if then else fi for in do done while case esac function f() rm a b * ? ~ ! # = += F=a $F "$F" cd eval find -exec {} xargs sed -i git \n \t \u00a0 \u2028 \r é 😀'.split(
    ' ',
  );

describe('whatever the text', () => {
  test('fragments of shell in any order are answered in time with documented flags', () => {
    const text = fc.array(fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ unit: 'binary', maxLength: 4 })), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(text, fc.constantFrom('', ' '), (parts, glue) => {
        const { flags, effects } = analyseInTime(parts.join(glue));
        for (const flag of flags) expect(FLAG_CODES).toHaveProperty(flag.code);
        for (const effect of effects) expect(effect.path).toMatch(/^\//);
      }),
      { numRuns: RUNS },
    );
  });

  test('every beginning of a command is answered', () => {
    fc.assert(
      fc.property(scripts, fc.double({ min: 0, max: 1, noNaN: true }), (script, share) => {
        analyseInTime(script.slice(0, Math.floor(script.length * share)));
      }),
      { numRuns: RUNS / 4 },
    );
  });

  const repeated = (unit: string): string => unit.repeat(Math.floor(65_000 / unit.length));
  test.each([
    '(',
    '{ ',
    '$(',
    '`',
    '"$(',
    '${a:-',
    '((',
    '[[ ( ',
    '! ',
    'a|',
    'a;',
    'a&&',
    '<<E\n',
    '>a ',
    'if a; then ',
    'for i in a b; do ',
    'while :; do ',
    'case a in a) ',
    'f() { ',
    'a() { a; }; ',
    '{a,b}',
    '*',
    'F=$F$F;',
    'eval eval ',
    "bash -c '",
    'x+=x;',
    '$((',
    '\\',
    "$'\\",
    'é',
  ])('64 KiB of %j end in an answer', (unit) => {
    analyseInTime(repeated(unit));
  });

  test('loops in loops, doubling values and functions that call each other stay bounded', () => {
    const loops = 'for i in {1..60}; do '.repeat(8) + 'rm a$i; ' + 'done; '.repeat(8);
    const whiles = 'while a; do '.repeat(20) + 'F=b; rm "$F"; ' + 'done; '.repeat(20);
    const doubling = `F=aaaaaaaa; ${'F=$F$F; '.repeat(40)} rm $F`;
    const calls = Array.from({ length: 30 }, (_, at) => `f${at}() { f${at + 1}; f${at + 1}; }; `).join('') + 'f0';
    const evals = `X='eval "$X"; eval "$X"'; eval "$X"`;
    const finds = 'find a b c d -exec '.repeat(30) + 'rm {} \\;';
    for (const bomb of [loops, whiles, doubling, calls, evals, finds]) {
      expect(analyseInTime(bomb).flags, bomb.slice(0, 40)).not.toEqual([]);
    }
  });

  test('text over the limit is not read', () => {
    const { flags, effects } = analyseInTime(`rm a; ${'x'.repeat(65_536)}`);
    expect(flags.map((flag) => flag.code)).toEqual(['too_long']);
    expect(effects).toEqual([]);
  });
});
