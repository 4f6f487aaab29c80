/**
 * A SessionStart command of Claude Code: puts the id of the session's run into the environment of its shell commands, where
 * the git hooks look for it. Claude Code reads `$CLAUDE_ENV_FILE` before each of them. Standard output would be told to the
 * model: nothing goes there. And whatever goes wrong, the session starts.
 */
import { appendFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { connect } from './api.mjs';
import { readConfig, Told, UUID } from './config.mjs';
import { say } from './text.mjs';

/** Less than the 10 s that the settings give it. The run begins with another command of the same event, beside this one. */
const PATIENCE_MS = 8000;
const PAUSE_MS = 200;

async function tellRun() {
  const file = process.env['CLAUDE_ENV_FILE'];
  if (!file) throw new Told('this Claude Code names no CLAUDE_ENV_FILE.');
  const session = await sessionId();
  const server = connect(await readConfig(), PATIENCE_MS);
  const until = performance.now() + PATIENCE_MS - 2 * PAUSE_MS;
  let run = await server.runOf(session);
  while (run === null && performance.now() < until) {
    await wait(PAUSE_MS);
    run = await server.runOf(session);
  }
  if (run === null) throw new Told('the server knows no run of this session.');
  // A shell will read it.
  if (!UUID.test(run.id)) throw new Told('the server answers with something else than the id of a run.');
  await appendFile(file, `export SIGNALBOX_RUN='${run.id}'\n`);
}

/** @returns {Promise<string>} */
async function sessionId() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const payload = /** @type {{ session_id?: unknown } | null} */ (JSON.parse(Buffer.concat(chunks).toString()));
  const session = payload?.session_id;
  if (typeof session !== 'string') throw new Told('what came on standard input names no session.');
  return session;
}

await tellRun().catch((/** @type {unknown} */ error) => {
  const why = error instanceof Error ? error.message : String(error);
  say(`SIGNALBOX_RUN was not set: ${why.split('\n')[0]}`);
});
