import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { analyseCommand, type Effect, type ShellAnalysis } from '../../../../src/adapters/agent-hooks/shell/index.ts';
import { matches, parsePath, parsePattern } from '../../../../src/patterns/index.ts';

/**
 * Real bash in a folder of its own, to see which files a command really changes.
 *
 * Every name holds `zq` and every wildcard too, and the folder lies deep: a command that climbs out of it finds
 * nothing elsewhere that it could name.
 */
const FILES = [
  'zqa.ts',
  'zqb.txt',
  'zq c.txt',
  'zqd/zqa.ts',
  'zqd/zqb.txt',
  'zqd/zqe/zqf.ts',
  'zq[x]y.ts',
  'zqxy.ts',
  'zqxay.ts',
  '.zqh',
  'zqé.txt',
  'zqg/zqa.ts',
];
const DEPTH = 12;

interface Sandbox {
  readonly root: string;
  readonly cwd: string;
  readonly home: string;
}

function makeSandbox(): Sandbox {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'signalbox-shell-')));
  const cwd = join(root, ...Array.from({ length: DEPTH }, (_, at) => `zqlevel${at}`), 'zqwork');
  const home = join(root, 'zqhome');
  for (const file of FILES) put(join(cwd, file), `${file}\na\nb\n`);
  put(join(home, 'zqa.ts'), 'home\n');
  return { root, cwd, home };
}

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Every file and link below a folder with a digest of what it is. */
function snapshot(root: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) found.set(path, `link ${readlinkSync(path)}`);
    else if (entry.isFile()) {
      const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
      found.set(path, `${lstatSync(path).mode} ${digest}`);
    }
  }
  return found;
}

/** Runs the command and answers with the absolute paths of the files that are not as they were. */
function changedBy(command: string, { root, cwd, home }: Sandbox, shell = 'bash'): readonly string[] {
  const before = snapshot(root);
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: home, LC_ALL: 'C.UTF-8' };
  spawnSync(shell, ['-c', command], {
    cwd,
    env,
    timeout: 3_000,
    killSignal: 'SIGKILL',
    input: 'zqa.ts\n',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const after = snapshot(root);
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].filter((path) => before.get(path) !== after.get(path) && !path.includes('/.git/'));
}

function coveredBy(effect: Effect, path: string): boolean {
  if (effect.glob !== true) {
    return path === effect.path || (effect.recursive === true && path.startsWith(`${effect.path.replace(/\/$/, '')}/`));
  }
  const literal = parsePath(path.slice(1));
  const texts = effect.recursive === true ? [effect.path, `${effect.path}/**`] : [effect.path];
  return texts.some((text) => {
    const pattern = parsePattern(text.slice(1));
    if (!pattern.ok || !literal.ok) throw new Error(`not a pattern and a path: ${text} and ${path}`);
    return matches(pattern.pattern, literal.path, { caseSensitive: true });
  });
}

export interface Comparison {
  readonly analysis: ShellAnalysis;
  readonly changed: readonly string[];
  /** Changed, though the analysis neither claimed it nor raised a flag. */
  readonly missed: readonly string[];
}

/** What an analysis claims next to what bash does. */
export function compare(command: string): Comparison {
  const sandbox = makeSandbox();
  try {
    const analysis = analyseCommand(command, { cwd: sandbox.cwd, home: sandbox.home });
    const changed = changedBy(command, sandbox);
    const missed = changed.filter((path) => !analysis.effects.some((effect) => coveredBy(effect, path)));
    return { analysis, changed, missed: analysis.flags.length > 0 ? [] : missed };
  } finally {
    // What still runs in the background finds its folder gone.
    rmSync(sandbox.root, { recursive: true, force: true });
  }
}
