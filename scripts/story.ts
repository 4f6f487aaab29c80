/**
 * `npm run story [-- --url http://127.0.0.1:7317]` plays the story against a server that runs, and prints it as a
 * timeline. With SIGNALBOX_KEY, an admin's, in that org; else with SIGNALBOX_ROOT_KEY, or the root key that a local
 * server keeps in its data directory, in an org that it makes. Exit code 1 if anything is not as told.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { StoryFailure } from './story/check.ts';
import { runStory } from './story/run-story.ts';
import type { StoryOptions } from './story/world.ts';

const DEFAULT_URL = 'http://127.0.0.1:7317';

async function keyOf(env: NodeJS.ProcessEnv): Promise<StoryOptions['key']> {
  if (env['SIGNALBOX_KEY']) return { admin: env['SIGNALBOX_KEY'] };
  if (env['SIGNALBOX_ROOT_KEY']) return { root: env['SIGNALBOX_ROOT_KEY'] };
  const file = join(env['SIGNALBOX_DATA_DIR'] || '.signalbox', 'root-key');
  try {
    return { root: (await readFile(file, 'utf8')).trim() };
  } catch {
    throw new StoryFailure(`no key: set SIGNALBOX_KEY or SIGNALBOX_ROOT_KEY; there is no ${file} either`);
  }
}

try {
  const { values } = parseArgs({ options: { url: { type: 'string', default: DEFAULT_URL } } });
  const url = values.url.replace(/\/+$/, '');
  const startedMs = performance.now();
  const { org, events } = await runStory({ url, key: await keyOf(process.env), print: (line) => console.log(line) });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`\nAll as told: org ${org.slug}, ${events.length} events, ${seconds} s.`);
} catch (error) {
  console.error(error instanceof StoryFailure ? `\nstory: ${error.message}` : error);
  process.exitCode = 1;
}
