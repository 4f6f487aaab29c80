import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * The release that the scenarios and the fixtures of test/fixtures/claude-code speak of. It is installed on demand and
 * is never a dependency of package.json: 370 MB unpacked, and no user of Signalbox needs it.
 */
export const CLAUDE_CODE_VERSION = '2.1.329';

const INSTALL_TIMEOUT_MS = 300_000;
const run = promisify(execFile);

/**
 * Installs Claude Code into the temporary folder of this machine, once per version, and answers the path of its binary.
 *
 * The package's install script only links the platform's binary into `bin/`; the binary is started directly instead, so
 * that no install script has to run, and Node 20 suffices although the wrapper's `engines` asks for 22.
 * Throws when npm fails, or after five minutes.
 */
export async function installClaudeCode(version: string = CLAUDE_CODE_VERSION): Promise<string> {
  const home = join(tmpdir(), `signalbox-claude-code-${version}`);
  const binary = join(home, binaryPath());
  if (existsSync(binary)) return binary;
  await mkdir(tmpdir(), { recursive: true });
  const staging = await mkdtemp(`${home}-staging-`);
  try {
    await npmInstall(staging, version);
    await publish(staging, home, binary);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  if (!existsSync(binary)) throw new Error(`Claude Code ${version} has no binary for ${platformKey()}`);
  return binary;
}

async function npmInstall(folder: string, version: string): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{"private":true}\n');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--no-package-lock'];
  await run('npm', [...args, `@anthropic-ai/claude-code@${version}`], {
    cwd: folder,
    timeout: INSTALL_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
}

/** A rename is atomic: a run that was killed half-way, or two runs at once, never leave a half-installed cache. */
async function publish(staging: string, home: string, binary: string): Promise<void> {
  try {
    await rename(staging, home);
  } catch (error) {
    if (!existsSync(binary)) throw error;
  }
}

function binaryPath(): string {
  const file = platform() === 'win32' ? 'claude.exe' : 'claude';
  return join('node_modules', '@anthropic-ai', `claude-code-${platformKey()}`, file);
}

function platformKey(): string {
  const key = `${platform()}-${arch()}`;
  return platform() === 'linux' && isMusl() ? `${key}-musl` : key;
}

function isMusl(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}
