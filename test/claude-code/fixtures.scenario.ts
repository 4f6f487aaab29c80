import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { record } from './capture.ts';
import { CAPTURES } from './captures.ts';

const fixturePath = (name: string) => fileURLToPath(new URL(`../fixtures/claude-code/${name}.json`, import.meta.url));

/**
 * The payloads that the hook adapter is tested with are those that the client sends. `UPDATE_FIXTURES=1` writes them
 * anew; without it every one must still arrive exactly as committed.
 */
it.each(CAPTURES)('$name', async (capture) => {
  const recorded = await record(capture);
  expect(recorded.size).toBeGreaterThan(0);
  for (const [name, fixture] of recorded) {
    if (process.env['UPDATE_FIXTURES'] === '1') {
      await writeFile(fixturePath(name), `${JSON.stringify(fixture, null, 2)}\n`);
    } else {
      expect(fixture, name).toEqual(JSON.parse(await readFile(fixturePath(name), 'utf8')));
    }
  }
});
