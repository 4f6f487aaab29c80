import { Scene } from './scene.ts';

/** Everything that clients do, done right: one gives back, one lets expire, one waits, one cancels, one ends. */
export function goodScene() {
  const scene = new Scene();
  scene.start(0, 'ann', 'ben', 'cy');
  const first = scene.grant(100, { run: 'ann' });
  scene.told(200, 'acquire', 'ben', {}, 409, { code: 'lease_conflict', conflicts: [{ leaseId: first.id }] });
  scene.queue(300, 'ticket 1', 'ben');
  scene.queue(400, 'ticket 2', 'cy');
  scene.cancel(500, 'ticket 2', 'cy');
  scene.renew(3000, first);
  scene.release(4000, first);
  const second = scene.grant(4000, { run: 'ben', ticket: 'ticket 1' });
  scene.told(4050, 'poll', 'ben', { ticketId: 'ticket 1', purpose: second.purpose!, ttlSeconds: 5 }, 200, {
    id: 'ticket 1',
    status: 'granted',
    lease: second,
  });
  scene.refused(4100, 'release', 'ann', { leaseId: first.id, fence: first.fence }, 'ended lease');
  const shared = scene.grant(4200, { run: 'ann', mode: 'shared', paths: ['docs/a.md'] });
  const beside = scene.grant(4300, { run: 'cy', mode: 'shared', paths: ['docs/a.md'] });
  // Ben's runs out, and then the lock delay.
  scene.end(10_100, second, 'expired');
  const third = scene.grant(10_100, { run: 'cy', paths: ['src/a.ts', 'src/b.ts'] });
  for (const lease of [beside, third]) scene.end(11_000, lease, 'run_ended');
  scene.finish(11_000, 'cy');
  return { scene, first, second, third, shared };
}

export type Good = ReturnType<typeof goodScene>;

/** Ben's admission waits for what ann has, and so long after she is given what both want. */
export function passPlace(scene: Scene, afterMs: number, { joined }: { readonly joined: boolean }): void {
  const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
  scene.queue(12_100, 'ticket 5', 'ben', ['lib/one.go', 'lib/two.go']);
  scene.place('ticket 5', joined);
  scene.end(18_100, lease, 'expired');
  scene.grant(12_100 + afterMs, { run: 'ann', paths: ['lib/two.go'] });
}

export function change<T>(list: T[], at: number, difference: Partial<T>): void {
  list[at] = { ...list[at]!, ...difference };
}
