import { describe, expect, test } from 'vitest';
import { analyseCommand, type Effect, FLAG_CODES } from '../../../../src/adapters/agent-hooks/shell/index.ts';
import { CASES } from './table.ts';

const CWD = '/w/repo';

function analyse(command: string) {
  return analyseCommand(command, { cwd: CWD, home: '/home/u' });
}

function written({ kind, path, recursive, glob }: Effect): string {
  const place = path.startsWith(`${CWD}/`) ? path.slice(CWD.length + 1) : path;
  return `${kind} ${glob ? 'glob:' : ''}${place}${recursive ? '/**' : ''}`;
}

function actions(command: string) {
  return analyse(command).gitActions;
}

for (const [family, cases] of Object.entries(CASES)) {
  describe(family, () => {
    test.each(cases)('$command', ({ command, effects = [], flags = [] }) => {
      const analysis = analyse(command);
      expect([...new Set(analysis.flags.map((flag) => flag.code))].toSorted()).toEqual([...flags].toSorted());
      expect(analysis.effects.map(written).toSorted()).toEqual([...effects].toSorted());
    });
  });
}

describe('git actions', () => {
  test('a commit says what it names and where', () => {
    expect(actions('cd sub && git commit -m "x" a.ts')).toEqual([
      { kind: 'commit', directory: '/w/repo/sub', paths: ['a.ts'] },
    ]);
  });

  test('a push says where to, what and whether it overwrites', () => {
    expect(actions('git push -u origin main')).toEqual([
      { kind: 'push', directory: CWD, remote: 'origin', refspecs: ['main'] },
    ]);
    for (const forced of [
      'git push -f',
      'git push --force-with-lease',
      'git push origin +main',
      'git push origin :old',
    ]) {
      expect(actions(forced), forced).toMatchObject([{ kind: 'push', force: true }]);
    }
  });

  test('in a directory that is not known it is null, and flagged', () => {
    const { gitActions, flags } = analyse('cd "$X" && git commit -m x');
    expect(gitActions).toEqual([{ kind: 'commit', directory: null }]);
    expect(flags.map((flag) => flag.code)).toEqual(['dynamic_cd']);
  });
});

describe('the answer', () => {
  test('names the programs run, those run by others too', () => {
    expect(analyse('ls | xargs rm; sudo npm test; for f in a; do cat $f; done').commands).toEqual([
      'ls',
      'xargs',
      'rm',
      'sudo',
      'npm',
      'cat',
    ]);
  });

  test('without a home directory a tilde is flagged', () => {
    expect(analyseCommand('rm ~/a', { cwd: CWD }).flags.map((flag) => flag.code)).toEqual(['variable']);
  });

  test('every code raised in the table is documented', () => {
    const raised = Object.values(CASES).flatMap((cases) => cases.flatMap((one) => one.flags ?? []));
    expect(raised.filter((code) => !(code in FLAG_CODES))).toEqual([]);
  });
});
