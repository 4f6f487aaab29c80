import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Folder, temporaryFolder } from '../../faults/rig/folder.ts';
import { start } from '../main/process.ts';
import { runClaude } from './claude.ts';
import { gitShop } from './shop.ts';
import { bash, inOrder, use, write } from './turns.ts';

/** What somebody does in the first minute: starts the server, pastes what it prints, starts the client. */
let folder: Folder;
let server: Awaited<ReturnType<typeof start>>;

beforeAll(async () => {
  folder = await temporaryFolder();
  server = await start({ SIGNALBOX_DATA_DIR: join(folder.path, 'data') });
});
afterAll(async () => {
  server.signal('SIGTERM');
  await server.exited;
  await folder.remove();
});

it('the hook block and the key, as printed: what is free passes, what Ada’s loop holds does not', async () => {
  const settings = JSON.parse(/^\{\n[^]*?^\}/m.exec(server.stdout())![0]) as Record<string, unknown>;
  const key = /export SIGNALBOX_KEY=(\S+)/.exec(server.stdout())![1]!;
  const shop = await gitShop(settings);
  try {
    const [free, held, shelled] = ['src/fresh.ts', 'services/checkout/cart.ts', 'services/checkout/tax.ts'].map(
      (path) => join(shop.main, path),
    ) as [string, string, string];
    const script = inOrder(
      use(write(free, 'export {};\n')),
      use(write(held, 'export {};\n')),
      use(bash(`mkdir -p services/checkout && echo > ${shelled}`)),
    );
    const run = await runClaude({ cwd: shop.main, prompt: 'Do the work', env: { SIGNALBOX_KEY: key }, script });
    expect([free, held, shelled].map(existsSync)).toEqual([true, false, false]);
    const told = run.model.conversations.at(-1)!.toolResults.map(({ text }) => text);
    expect(told[1]).toContain('held by loop "checkout-refactor" of "Ada"');
    expect(told[2]).toContain('held by loop "checkout-refactor" of "Ada"');
  } finally {
    await shop.remove();
  }
});
