/** Reports HEAD: its files with their blobs, its message as the intent, and the leases that the run holds on them. */
import { connect } from './api.mjs';
import { changedBy } from './changed.mjs';
import { readConfig } from './config.mjs';
import { git, isNull } from './git.mjs';
import { coverOf } from './holders.mjs';
import { readPath } from './paths.mjs';
import { listed, quoted, say } from './text.mjs';

/** @import { Presented, Recorded } from './api.mjs' */
/** @import { Entry, Side } from './git.mjs' */
/** @typedef {{ path: string, beforeBlob: string | null, afterBlob: string | null }} ReportedFile */

/** Somebody waits for this commit. */
const PATIENCE_MS = 5000;
/** What one report holds: the server's limits, with room for the rest of the body. */
const MAX_FILES = 5000;
const MAX_FILE_BYTES = 3_500_000;
const MAX_INTENT = 4000;
const MAX_LEASES = 500;

/** A blob or, of a submodule, its commit: who moves it changes that path. @param {Side} side */
const nameOf = ({ name }) => (isNull(name) ? null : name);

/**
 * @param {readonly Entry[]} entries
 * @returns {{ files: ReportedFile[], filesOmitted: number }}
 */
function readFiles(entries) {
  /** @type {Map<string, ReportedFile>} */
  const files = new Map();
  let bytes = 0;
  let filesOmitted = 0;
  for (const { path: name, before, after } of entries) {
    const path = readPath(name);
    bytes += name.length + 250;
    if (path === null || files.has(path) || files.size === MAX_FILES || bytes > MAX_FILE_BYTES) filesOmitted += 1;
    else files.set(path, { path, beforeBlob: nameOf(before), afterBlob: nameOf(after) });
  }
  return { files: [...files.values()], filesOmitted };
}

/** @param {string} commit */
async function intentOf(commit) {
  const message = await git(['log', '-1', '--format=%B', '--encoding=UTF-8', '--no-show-signature', commit]);
  const text = message.toString().replaceAll('\0', '').trim().toWellFormed();
  return text === '' ? null : text.slice(0, MAX_INTENT).toWellFormed();
}

async function report() {
  const config = await readConfig();
  const commit = (await git(['rev-parse', '--verify', 'HEAD^{commit}'])).toString().trim();
  const { files, filesOmitted } = readFiles(await changedBy(commit));
  if (files.length === 0) {
    if (filesOmitted > 0) say(`this commit was not reported: no lease could name its ${filesOmitted} path(s).`);
    return;
  }
  const server = connect(config, PATIENCE_MS);
  /** @type {Presented[]} */
  const leases = [];
  if (config.run !== null) {
    const mayCover = coverOf(files.map(({ path }) => path));
    for await (const page of server.leases(config.run))
      leases.push(...page.filter(mayCover).map(({ id, fence }) => ({ id, fence })));
  }
  const recorded = await server.record({
    commit,
    intent: await intentOf(commit),
    files,
    filesOmitted,
    leases: leases.slice(0, MAX_LEASES),
  });
  if (leases.length > MAX_LEASES)
    say(
      `a report names at most ${MAX_LEASES} leases: ${leases.length - MAX_LEASES} on files of this commit were left out.`,
    );
  tell(recorded, files.length, filesOmitted);
}

/**
 * @param {Recorded} recorded
 * @param {number} reported
 * @param {number} omitted
 */
function tell({ unleased, unleasedCount, reverts }, reported, omitted) {
  if (omitted > 0) say(`${omitted} file(s) of this commit were left out of the report.`);
  if (unleasedCount > 0) {
    const more = unleasedCount > unleased.length ? ', …' : '';
    say(
      `recorded; no lease of this run covered ${unleasedCount} of ${reported} file(s): ${listed(unleased, 5)}${more}`,
    );
  }
  for (const { path, undone } of reverts.slice(0, 5)) {
    const whose = undone.map(
      ({ commit, intent }) => `${commit.slice(0, 12)}${intent === null ? '' : ` ${quoted(intent)}`}`,
    );
    say(`this commit takes ${listed([path], 1)} back to what it was before ${whose.slice(0, 3).join(', ')}`);
  }
}

await report().catch((/** @type {unknown} */ error) => {
  const why = error instanceof Error ? error.message : String(error);
  say(`this commit was not reported: ${why.split('\n')[0]}`);
});
