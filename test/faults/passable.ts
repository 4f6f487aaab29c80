import { change, type Good, passPlace } from './good-scene.ts';

/** What is out of the ordinary, and all right. */
export const PASSABLE: readonly [string, (good: Good) => void][] = [
  [
    'somebody gives back what took the place of its shared lease, which it never gives back itself',
    ({ scene }) => {
      const shared = scene.grant(11_100, { run: 'ann', paths: ['src/c.ts'], mode: 'shared' });
      const upgrade = scene.grant(11_200, { run: 'ann', paths: ['src/c.ts'] });
      scene.end(11_200, shared, 'upgraded');
      scene.release(11_300, upgrade);
      scene.grant(11_400, { run: 'ben', paths: ['src/c.ts'] });
    },
  ],
  [
    'a run that takes its own expired lease again at once',
    ({ scene }) => {
      const own = scene.grant(11_000, { run: 'ann', paths: ['src/c.ts'] });
      scene.end(16_100, own, 'expired');
      scene.grant(16_100, { run: 'ann', paths: ['src/c.ts'] });
    },
  ],
  [
    'times that are earlier because the clock was set back',
    ({ scene }) => {
      scene.setBack(11_500, 4000);
      scene.grant(8000, { run: 'ben', paths: ['lib/one.go'] });
      scene.grant(8500, { run: 'ann', paths: ['lib/two.go'] });
    },
  ],
  [
    'a holder that takes more of what it holds, past who waits for it',
    ({ scene }) => {
      const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'], mode: 'shared' });
      scene.queue(12_100, 'ticket 5', 'ben', ['lib/one.go']);
      scene.grant(12_200, { run: 'ann', paths: ['lib/one.go'] });
      scene.end(12_200, lease, 'upgraded');
    },
  ],
  [
    'a grant past the place of an admission that was not heard of any more',
    ({ scene }) => passPlace(scene, 46_000, { joined: false }),
  ],
  [
    'a grant past such a place that one of two requests has left, and of which the other was not heard any more',
    ({ scene }) => passPlace(scene, 16_000, { joined: true }),
  ],
  [
    'a grant past a waiter whose run is silent',
    ({ scene }) => {
      const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
      scene.queue(12_100, 'ticket 5', 'ben', ['lib/one.go', 'lib/two.go']);
      scene.event(22_500, 'run.stalled', 'ben');
      scene.end(22_600, lease, 'expired');
      scene.grant(22_600, { run: 'ann', paths: ['lib/two.go'] });
    },
  ],
  [
    'a reply that was lost, and its retry',
    ({ scene }) => {
      const told = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
      const { sent, key } = scene.history.at(-1)!;
      scene.told(11_950, 'acquire', 'ann', sent, 0, {}, { key, answeredMs: null, reply: null });
      scene.told(12_500, 'acquire', 'ann', sent, 201, { lease: told }, { key });
    },
  ],
  [
    'a ticket of a run that got the same by another request',
    ({ scene }) => {
      const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
      scene.queue(12_100, 'ticket 5', 'ben', ['lib/one.go']);
      scene.release(12_200, lease);
      const other = scene.grant(12_200, { run: 'ben', paths: ['lib/one.go'] });
      change(scene.waiters, scene.waiters.length - 1, { status: 'granted', leaseId: other.id });
    },
  ],
  [
    'a lease that is granted to another only after its holder stopped believing',
    ({ scene }) => {
      const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
      scene.end(18_100, lease, 'expired');
      scene.grant(18_100, { run: 'ben', paths: ['lib/one.go'] });
    },
  ],
];
