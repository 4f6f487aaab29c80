/**
 * `npm run faults:leases [-- --seconds 60] [-- --clients 24] [-- --seed N] [-- --clock preload|shadow]`
 * Three servers on one PostgreSQL of its own, many clients over real HTTP, and a nemesis that kills servers (SIGKILL),
 * pauses them past the expiry of leases (SIGSTOP; also while one holds the repo's row), resets connections in the middle
 * of a request, before a reply and in it, loses COMMITs and calls of hot_once, or their answers, restarts PostgreSQL at once,
 * sets its clock back, and lets runs end, and others ask for the same, between a batch's look and its write. A checker then
 * reads what the clients saw and what the tables say: `faults/checker/check.ts` names the invariants.
 * Exit code 1 when one of them is broken; the evidence is then kept. Exit code 2 when none is, but the campaign has not
 * shown that they hold: a check had nothing to look at, or a fault never struck. The seed repeats what is chosen, not how
 * processes interleave: a broken invariant may take several runs to break again.
 *
 * What it does not show: a clock that jumps ahead (leases then end before their holders' own clocks say so); a machine
 * that fails, and with it what only its disk would have kept; a network between machines. Where there is no C compiler,
 * PostgreSQL's own timeouts do not notice that the clock was set back.
 *
 * `npm run faults:leases -- --planted [-- --only text] [-- --only …] [-- --seconds 20]`
 * Proves the checker: copies the tree, makes one of the mistakes of `faults/planted/bugs.ts` in the copy, runs short
 * campaigns against that, and demands that the checker sees it. Exit code 1 when it does not see one of them.
 */
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runCampaign } from './campaign.ts';
import { check } from './checker/check.ts';
import { conclude } from './conclusion.ts';
import { provePlanted } from './planted/prove.ts';
import { render } from './report.ts';
import { buildServer } from './rig/build.ts';
import { temporaryFolder } from './rig/folder.ts';

const SERVERS = 3;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string' },
    clients: { type: 'string', default: '24' },
    clock: { type: 'string' },
    planted: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
const clients = Number(values.clients);
if (![seed, clients, Number(values.seconds ?? 1)].every((number) => Number.isInteger(number) && number > 0))
  throw new Error('--seed, --seconds and --clients are whole numbers above 0');
const clock = clockKind(values.clock);

function clockKind(text: string | undefined): 'preload' | 'shadow' | undefined {
  if (text === undefined || text === 'preload' || text === 'shadow') return text;
  throw new Error('--clock is preload or shadow');
}

// The first asks for an end in order, after which nothing of ours is left; whoever cannot wait is helped by the keeper.
const stopping = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => stopping.abort(new Error(`stopped by ${name}`)));

async function campaign(): Promise<number> {
  const seconds = Number(values.seconds ?? 60);
  console.log(`seed ${seed}: ${SERVERS} servers, ${clients} clients, ${seconds} s`);
  const folder = await temporaryFolder();
  try {
    const main = await buildServer(folder.path);
    const options = {
      seed,
      seconds,
      clients,
      servers: SERVERS,
      main,
      folder: folder.path,
      stop: stopping.signal,
      clock,
    };
    const result = await runCampaign(options);
    const verdicts = check(result.evidence);
    console.log(`\n${render(result, verdicts)}\n`);
    const conclusion = conclude(result, verdicts);
    if (conclusion.exitCode !== 1) {
      console.log(`${conclusion.text}, seed ${seed}.`);
      return conclusion.exitCode;
    }
    await writeFile(path.join(folder.path, 'evidence.json'), JSON.stringify({ seed, ...result, verdicts }));
    console.log(`${conclusion.text}, seed ${seed}; evidence, logs and tables are kept in ${await folder.keep()}`);
    return conclusion.exitCode;
  } finally {
    await folder.remove();
  }
}

try {
  const proof = {
    seed,
    clients,
    only: values.only,
    seconds: Number(values.seconds ?? Infinity),
    stop: stopping.signal,
    clock,
  };
  process.exitCode = values.planted ? await provePlanted(proof) : await campaign();
} catch (error) {
  console.error(stopping.signal.aborted ? (stopping.signal.reason as Error).message : error);
  process.exitCode = 1;
}
