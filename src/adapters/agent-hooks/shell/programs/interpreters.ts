import type { Handler } from '../outcome.ts';
import { flag } from '../outcome.ts';
import { onlyAsksVersion } from './editors.ts';

/** Languages, builds, package managers and test runners: what they do is in code that is not read here. */
const NAMES = [
  'python python2 python3 pypy pypy3 node nodejs deno bun php lua luajit Rscript R julia osascript tclsh expect groovy',
  'java javac kotlin kotlinc scala swift swiftc dotnet elixir mix erl iex ghc runghc stack cabal zig go cargo rustc',
  'rustfmt gcc g++ clang clang++ cc c++ ld make gmake cmake ninja meson bazel bazelisk buck just task rake bundle gem',
  'npm npx pnpm pnpx yarn corepack tsx ts-node tsc jest vitest mocha playwright cypress eslint prettier biome oxlint',
  'vite webpack rollup esbuild next nuxt turbo nx lerna pip pip3 pipx poetry uv uvx hatch tox nox pytest mypy ruff',
  'black isort flake8 pylint conda mamba mvn gradle gradlew ant sbt composer artisan rails bin/rails docker podman',
  'docker-compose kubectl helm terraform ansible ansible-playbook vagrant brew apt apt-get yum dnf apk pacman nix',
  'nix-shell direnv gh glab aws gcloud az psql mysql sqlite3 redis-cli mongosh ssh scp sftp screen tmux watch',
  'parallel entr script at batch crontab systemctl service launchctl pre-commit husky gofmt golangci-lint shfmt',
]
  .join(' ')
  .split(' ');

const interpreter: Handler = (call) =>
  onlyAsksVersion(call) ? [] : [flag('interpreter', `${call.name} ${call.args[0]?.text ?? ''}`.trim())];

export const INTERPRETERS: ReadonlyArray<readonly [string, Handler]> = NAMES.map((name) => [name, interpreter]);
