import { describe, expect, it } from 'vitest';
import { give } from '../../modules/leases/support.ts';
import { between } from './checkout.ts';
import { expectPushed, expectRefused, guarded, push, runOut } from './guarded.ts';

const { there, scene } = guarded();

/** Asks who holds what, whoever it is. */
const isAboutHolders = (target: string) => /\/leases\?/.test(target) && !target.includes('runId=');

/** Ann's commit on w.ts waits on `side`, verified; and she has made another one on a.ts. */
async function withWork() {
  const made = await scene();
  const { ann, hers } = made;
  const waited = (await ann.acquire({ paths: ['w.ts'] })).body.lease;
  await hers.commit('Waits', { 'w.ts': 'W\n' });
  expectPushed(await push(hers, 'HEAD:side'));
  await give(ann, waited);
  await ann.acquire({ paths: ['a.ts'] });
  await hers.commit('Comes with it', { 'a.ts': 'A2\n' });
  return made;
}

describe('beside what waited, and was asked about at length', () => {
  it('the leases are verified last: a holder that another took over from meanwhile does not land', async () => {
    const { forge, ann, bob, hers } = await withWork();
    let isOver = false;
    const proxy = await between(there.server.url, async (target, _sent, answer) => {
      if (isAboutHolders(target) && !isOver) {
        isOver = true;
        await runOut(there.server, ann);
        expect((await bob.acquire({ paths: ['a.ts'] })).status).toBe(201);
      }
      return { body: await answer() };
    });
    await forge.remote.git('config', 'signalbox.url', proxy.url);
    const before = await forge.tip('main');
    expectRefused(await push(hers, 'main'), /covers 1 of the 2 path\(s\)[^]* a\.ts: held by loop/);
    expect(isOver).toBe(true);
    expect(await forge.tip('main')).toBe(before);
    proxy.close();
  });

  it('a refusal stays one when the server goes away, also where pushes go on without it', async () => {
    const { forge, bob, hers } = await withWork();
    await bob.acquire({ paths: ['b.ts'] });
    await hers.commit('Not hers', { 'b.ts': 'B2\n' });
    await forge.remote.git('config', 'signalbox.pushFailOpen', 'true');
    const proxy = await between(there.server.url, async (target, _sent, answer) =>
      isAboutHolders(target) ? { status: 503, body: { code: 'unavailable' } } : { body: await answer() },
    );
    await forge.remote.git('config', 'signalbox.url', proxy.url);
    const before = await forge.tip('main');
    const ran = await push(hers, 'main');
    expect(ran.code, ran.err).toBe(1);
    expect(ran.err).toMatch(/push refused: [^]*who holds them could not be asked/);
    expect(await forge.tip('main')).toBe(before);
    proxy.close();
  });

  it('so does one of a path that is held, where edits without a lease are let through', async () => {
    const { forge, bob, hers } = await withWork();
    await bob.acquire({ paths: ['b.ts'] });
    await hers.commit('Not hers', { 'b.ts': 'B2\n' });
    await forge.remote.git('config', 'signalbox.pushFailOpen', 'true');
    await forge.remote.git('config', 'signalbox.unleased', 'report');
    const proxy = await between(there.server.url, async (target, _sent, answer) =>
      /\/changes\/[^/]+$/.test(target) ? { status: 503, body: { code: 'unavailable' } } : { body: await answer() },
    );
    await forge.remote.git('config', 'signalbox.url', proxy.url);
    const ran = await push(hers, 'main');
    expect(ran.code, ran.err).toBe(1);
    expect(ran.err).toMatch(/push refused: [^]* b\.ts: held by loop/);
    proxy.close();
  });
});

it('what cannot be a key or a server is a mistake of whoever pushes, and no server that is away', async () => {
  const { hers } = await scene();
  await hers.git('config', 'signalbox.pushFailOpen', 'true');
  await hers.commit('Mine', { 'a.ts': 'A2\n' });
  for (const [env, told] of [
    [{ SIGNALBOX_KEY: 'sbx_“quoted”' }, /SIGNALBOX_KEY is no API key/],
    [{ SIGNALBOX_KEY: 'sbx_a\nsbx_b' }, /SIGNALBOX_KEY is no API key/],
    [{ SIGNALBOX_URL: 'http://[::1' }, /the server that is named is no http or https URL/],
  ] as const) {
    const ran = await hers.as(env).run('push', '-q', 'origin', 'main');
    expect(ran.code, ran.err).toBe(1);
    expect(ran.err).toMatch(told);
  }
});
