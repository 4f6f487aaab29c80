import { spawn } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const HOOKS = fileURLToPath(new URL('../../../src/adapters/git/hooks', import.meta.url));

export interface Ran {
  readonly code: number;
  readonly out: string;
  /** What git and the hooks told. */
  readonly err: string;
}

type Environment = Record<string, string>;

/** Nothing of the machine's own configuration, and nobody to ask. */
const QUIET: Environment = {
  GIT_CONFIG_GLOBAL: fileURLToPath(new URL('quiet.gitconfig', import.meta.url)),
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'C',
  GIT_COMMITTER_EMAIL: 'c@example.com',
};

/** A working tree in which real git runs the hooks, in the environment of whoever works there. */
export class Checkout {
  readonly directory: string;
  readonly env: Environment;

  constructor(directory: string, env: Environment) {
    this.directory = directory;
    this.env = env;
  }

  /** The same tree for somebody else. */
  as(env: Environment): Checkout {
    return new Checkout(this.directory, { ...this.env, ...env });
  }

  /** Whatever the exit code is. */
  run(...args: string[]): Promise<Ran> {
    return new Promise((resolve, reject) => {
      const { PATH = '' } = process.env;
      const child = spawn('git', args, { cwd: this.directory, env: { PATH, ...QUIET, ...this.env } });
      let [out, err] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code: code ?? -1, out: out.trim(), err }));
    });
  }

  /** @throws unless it succeeds */
  async git(...args: string[]): Promise<Ran> {
    const ran = await this.run(...args);
    if (ran.code !== 0) throw new Error(`git ${args.join(' ')}: ${ran.code}\n${ran.err}`);
    return ran;
  }

  async write(files: Record<string, string | null>): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(this.directory, name);
      if (content === null) await rm(file);
      else {
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, content);
      }
    }
  }

  /** Writes and commits; what the hooks told. */
  async commit(message: string, files: Record<string, string | null>): Promise<string> {
    await this.write(files);
    await this.git('add', '-A');
    return (await this.git('commit', '-q', '-m', message)).err;
  }

  async head(revision = 'HEAD'): Promise<string> {
    return (await this.git('rev-parse', revision)).out;
  }

  async blob(revision: string): Promise<string> {
    return (await this.git('rev-parse', revision)).out;
  }
}

export interface Forge {
  /** Another clone of the same bare remote, with `main` checked out and the hooks installed. */
  clone(name: string, env: Environment): Promise<Checkout>;
  /** A linked worktree of a clone, on a new branch. */
  worktree(of: Checkout, branch: string, env: Environment): Promise<Checkout>;
  /** The remote's own view of a branch; null without one. */
  tip(branch: string): Promise<string | null>;
  /** The remote itself. */
  readonly remote: Checkout;
  /** Installs the hooks in the remote, with its key in a file and these names in its configuration. */
  guard(key: string, config: Record<string, string>): Promise<void>;
  remove(): Promise<void>;
}

const REMOTE = path.join('acme', 'shop.git');
/** The bare remotes that were made in this process, by what is in them: a test has a copy. They go with the run's folder. */
const made = new Map<string, Promise<string>>();

async function makeRemote(files: Record<string, string>, format: string): Promise<string> {
  const root = await mkdtemp(path.join(tmpdir(), 'signalbox-git-'));
  const remote = path.join(root, REMOTE);
  const seed = new Checkout(path.join(root, 'seed'), {});
  await new Checkout(root, {}).git('init', '-q', '--bare', '-b', 'main', `--object-format=${format}`, remote);
  await new Checkout(root, {}).git('init', '-q', '-b', 'main', `--object-format=${format}`, seed.directory);
  await seed.commit('Seed', files);
  await seed.git('push', '-q', remote, 'main');
  return remote;
}

/** A bare remote `acme/shop.git` whose main has the given files. */
export async function createForge(files: Record<string, string>, format: 'sha1' | 'sha256' = 'sha1'): Promise<Forge> {
  const what = JSON.stringify([format, files]);
  const making = made.get(what) ?? makeRemote(files, format);
  made.set(what, making);
  const root = await mkdtemp(path.join(tmpdir(), 'signalbox-git-'));
  const remote = path.join(root, REMOTE);
  await cp(await making, remote, { recursive: true });
  const at = (directory: string, env: Environment = {}) => new Checkout(directory, env);
  return {
    clone: async (name, env) => {
      const directory = path.join(root, name);
      await at(root).git('clone', '-q', '-c', `core.hooksPath=${HOOKS}`, remote, directory);
      return at(directory, env);
    },
    worktree: async (of, branch, env) => {
      const directory = path.join(root, branch);
      await of.git('worktree', 'add', '-q', '-b', branch, directory);
      return at(directory, env);
    },
    tip: async (branch) => {
      const ran = await at(remote).run('rev-parse', '--verify', '--quiet', `refs/heads/${branch}`);
      return ran.code === 0 ? ran.out : null;
    },
    remote: at(remote),
    guard: async (key, config) => {
      const keyFile = path.join(root, 'key');
      await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
      await cp(HOOKS, path.join(remote, 'hooks'), { recursive: true });
      const lines = Object.entries({ keyFile, ...config }).map(([name, value]) => `\t${name} = ${value}\n`);
      await appendFile(path.join(remote, 'config'), `[signalbox]\n${lines.join('')}`);
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

/** Stands between hooks and a server: what the server answers is changed on its way, or it is not asked at all. */
export async function between(
  url: string,
  change: (path: string, sent: string, answer: () => Promise<unknown>) => Promise<{ status?: number; body: unknown }>,
): Promise<{ url: string; close(): void }> {
  const listener = createHttpServer((request, response) => {
    void (async () => {
      let sent = '';
      for await (const chunk of request) sent += chunk;
      const { method = 'GET', headers, url: target = '/' } = request;
      const passOn = { authorization: headers.authorization ?? '', 'content-type': 'application/json' };
      const ask = async () =>
        (await fetch(url + target, { method, headers: passOn, ...(sent === '' ? {} : { body: sent }) })).json();
      const { status = 200, body } = await change(target, sent, ask);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    })();
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    close: () => {
      listener.closeAllConnections();
      listener.close();
    },
  };
}

/** The URL of a port that was free a moment ago: connections to it are refused. */
export async function nobodyThere(): Promise<string> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return `http://127.0.0.1:${port}`;
}
