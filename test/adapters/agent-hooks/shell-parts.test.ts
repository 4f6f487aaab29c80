import { describe, expect, it } from 'vitest';
import { askOfShell } from '../../../src/adapters/agent-hooks/shell-parts.ts';

const where = { roots: ['/home/dev/shop'], alias: null, ownDirectories: [] };
const ask = (command: string, cwd = '/home/dev/shop') => askOfShell(command, cwd, '/home/dev', where);
const part = (command: string, action: string, cwd?: string) =>
  ask(command, cwd).parts.filter((one) => one.action === action);
const flags = (command: string) => part(command, 'command.run')[0]?.subjects[0]?.['flags'];

describe('a shell command as what it asks for', () => {
  it('what only reads is a command and nothing else', () => {
    expect(ask('cat src/a.ts | grep x')).toEqual({
      parts: [{ action: 'command.run', subjects: [{ command: 'cat src/a.ts | grep x', flags: [] }] }],
      paths: [],
    });
  });

  it('edits and deletes are paths of the repo, from wherever the shell stands', () => {
    expect(part('echo x >> ../src/a.ts', 'path.edit', '/home/dev/shop/lib')).toEqual([
      { action: 'path.edit', subjects: [{ path: 'src/a.ts' }] },
    ]);
    expect(part('rm src/a.ts src/b.ts', 'path.delete')).toEqual([
      { action: 'path.delete', subjects: [{ path: 'src/a.ts' }, { path: 'src/b.ts' }] },
    ]);
  });

  it('a directory is the directory and all below it', () => {
    expect(part('rm -rf "do[c]s"', 'path.delete')).toEqual([
      { action: 'path.delete', subjects: [{ path: 'do[c]s' }], patterns: ['do\\[c\\]s/'] },
    ]);
    expect(flags('rm -rf docs')).toEqual(['recursive']);
  });

  it.each(['rm -rf /home/dev/shop', 'rm -rf /home/dev', 'rm -rf ~'])('%s is all of the repo', (command) => {
    expect(part(command, 'path.delete')).toEqual([{ action: 'path.delete', subjects: [], patterns: ['**'] }]);
  });

  it('what lies outside is flagged, and not held', () => {
    expect(flags('echo x > /etc/motd')).toEqual(['outside_repo']);
    expect(ask('echo x > /etc/motd').paths).toEqual([]);
    expect(flags('rm /home/*/notes/x')).toEqual(['outside_repo']);
    expect(flags('echo x > /dev/null')).toEqual([]);
  });

  it('what cannot be resolved is flagged', () => {
    expect(flags('echo x > "$SOMEWHERE"')).toEqual(['variable']);
  });

  it('a commit and a push of this repo, with the branch that it changes', () => {
    expect(part('git commit -m x', 'commit')).toEqual([{ action: 'commit', subjects: [{}] }]);
    expect(part('git push', 'push')).toEqual([{ action: 'push', subjects: [{ remote: 'origin', branch: 'HEAD' }] }]);
    expect(part('git push -f upstream HEAD:refs/heads/main', 'push')).toEqual([
      { action: 'push', subjects: [{ remote: 'upstream', force: true, branch: 'main' }] },
    ]);
    expect(part('git push origin +dev :old', 'push')[0]?.subjects.map(({ branch }) => branch)).toEqual(['dev', 'old']);
    expect(part('git -C /home/dev/other push', 'push')).toEqual([]);
  });
});
