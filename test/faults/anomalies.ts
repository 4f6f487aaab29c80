import type { Evidence } from '../../faults/evidence.ts';
import type { ToldLease } from '../../faults/workload/history.ts';
import { change, type Good, passPlace } from './good-scene.ts';
import { type Scene, START_MS } from './scene.ts';

const LOG = 'no two held one path: the log';
const BELIEFS = 'no two held one path: what clients could believe';
const ACKNOWLEDGED = 'nothing acknowledged is missing';
const TABLES = 'tables and log agree';
const OVER = 'nothing that was over moved';
const ONCE = 'no retry was granted twice';
const FENCES = 'no fence came again or went back';
export const EVENTS = 'no event was skipped or doubled';
const FORGOTTEN = 'nobody waiting was forgotten';

/** One change of a scene; and the invariants that have to break, these and no others. */
export const ANOMALIES: readonly [
  name: string,
  breaks: readonly string[],
  change: (good: Good) => Partial<Evidence> | void,
][] = [
  [
    'two hold one path',
    [LOG, BELIEFS],
    ({ scene }) => {
      scene.grant(11_100, { run: 'ann', paths: ['src/c.ts'] });
      scene.grant(11_200, { run: 'ben', paths: ['src/c.ts'] });
    },
  ],
  [
    'a shared lease beside an exclusive one',
    [LOG, BELIEFS],
    ({ scene }) => {
      scene.grant(11_100, { run: 'ann', paths: ['lib/one.go'] });
      scene.grant(11_200, { run: 'ben', paths: ['lib/one.go'], mode: 'shared' });
    },
  ],
  [
    'what ran out is granted again without a word of its end',
    [LOG],
    ({ scene }) => void scene.grant(18_000, { run: 'ben', paths: ['docs/a.md'] }),
  ],
  [
    'two believe in one path, though by the log the first had ended',
    [BELIEFS],
    ({ scene }) => {
      const taken = scene.grant(11_100, { run: 'ann', paths: ['src/c.ts'] });
      scene.end(11_200, taken, 'upgraded');
      scene.grant(11_300, { run: 'ben', paths: ['src/c.ts'] });
    },
  ],
  [
    'two believe in one path, of whom the first was refused more than it had',
    [BELIEFS],
    ({ scene }) => {
      const shared = scene.grant(11_100, { run: 'ann', paths: ['src/c.ts'], mode: 'shared' });
      const more = { repo: 'acme/shop', paths: ['src/c.ts'], mode: 'exclusive' } as const;
      scene.told(11_150, 'acquire', 'ann', more, 409, { code: 'lease_conflict' });
      scene.end(11_200, shared, 'upgraded');
      scene.grant(11_300, { run: 'ben', paths: ['src/c.ts'] });
    },
  ],
  ['an acknowledged grant is missing', [ACKNOWLEDGED], ({ scene }) => forget(scene, 'ann', 4200)],
  [
    'an acknowledged grant has another fence',
    [ACKNOWLEDGED, FENCES, ONCE],
    ({ scene, first, third }) => tell(scene, first, { fence: third.fence }),
  ],
  [
    'a longer lease was promised than was kept',
    [ACKNOWLEDGED],
    ({ scene, first }) => tell(scene, first, { expiresAt: new Date(START_MS + 60_000).toISOString() }),
  ],
  [
    'an acknowledged release did not happen',
    [ACKNOWLEDGED],
    ({ scene, shared }) =>
      void scene.told(5000, 'release', 'ann', { leaseId: shared.id, fence: shared.fence }, 200, { lease: shared }),
  ],
  [
    'an acknowledged end of a run did not happen',
    [ACKNOWLEDGED],
    ({ scene }) => void scene.told(12_000, 'finish', 'ann', { epoch: 1 }, 200, {}),
  ],
  [
    'an acknowledged ticket is missing',
    [ACKNOWLEDGED],
    ({ scene }) => void scene.told(12_000, 'acquire', 'ann', { purpose: 'x' }, 202, { ticket: { id: 'no ticket' } }),
  ],
  [
    'a lease that was given back is still in the way',
    ['nothing given back stands in the way'],
    ({ scene, first }) =>
      void scene.told(5000, 'acquire', 'cy', {}, 409, { code: 'lease_conflict', conflicts: [{ leaseId: first.id }] }),
  ],
  [
    'a retry is granted once more',
    [ONCE],
    ({ scene, third }) => {
      scene.grant(12_000, { run: 'ann', paths: ['lib/two.go'], purpose: third.purpose! });
      change(scene.history, scene.history.length - 1, { key: 'another key' });
    },
  ],
  [
    'a wish stands in the queue twice',
    [ONCE],
    ({ scene }) => {
      scene.queue(12_000, 'ticket 3', 'ann', ['docs/b.md']);
      scene.queue(12_100, 'ticket 4', 'ann', ['docs/b.md']);
      for (const ticket of [3, 4])
        patchEvent(scene, (event) => event.subjectId === `ticket ${ticket}`, { purpose: 'one wish' });
    },
  ],
  [
    'one fence for two leases',
    [FENCES, TABLES],
    ({ scene }) => change(scene.leases, 1, { fence: scene.leases[0]!.fence }),
  ],
  ['a fence went back', [FENCES], ({ scene }) => tellFirst(scene)],
  [
    'a stale request was granted',
    ['no stale request was granted'],
    ({ scene }) =>
      change(
        scene.history,
        scene.history.findIndex(({ mustFail }) => mustFail !== null),
        { kind: 'heartbeat', reply: { status: 200, body: {} } },
      ),
  ],
  ['a renewal after the expiry', [OVER], ({ scene, shared }) => void scene.renew(15_000, shared)],
  [
    'a renewal after the end',
    [OVER, TABLES, ACKNOWLEDGED, BELIEFS],
    ({ scene, second }) => void scene.renew(12_000, second),
  ],
  [
    'a lease that ends twice',
    [OVER],
    ({ scene, first }) => void scene.event(12_000, 'lease.released', first.id, { reason: 'released' }),
  ],
  [
    'a grant after the end of its run',
    [OVER],
    ({ scene }) => void scene.grant(12_000, { run: 'cy', paths: ['lib/one.go'] }),
  ],
  ['a wait of a run that has ended', [OVER], ({ scene }) => scene.queue(12_000, 'ticket 9', 'cy', ['lib/one.go'])],
  [
    'a lease taken from its holder within the lock delay',
    [OVER],
    ({ scene }) => {
      const lease = scene.grant(11_100, { run: 'ann', paths: ['lib/one.go'] });
      scene.end(16_900, lease, 'expired');
      scene.grant(16_900, { run: 'ben', paths: ['lib/one.go'] });
    },
  ],
  [
    'what was revoked is taken back at once',
    [OVER],
    ({ scene }) => {
      const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'], ttl: 8 });
      scene.event(12_500, 'lease.revoked', lease.id, { reason: 'because' });
      change(scene.leases, scene.leases.length - 1, { ended: true, endReason: 'revoked' });
      scene.told(12_500, 'revoke', 'ann', { leaseId: lease.id }, 200, { lease });
      scene.grant(13_000, { run: 'ann', paths: ['lib/one.go'] });
    },
  ],
  [
    'a decision by the time at which it began to wait for the lock',
    ['no decision by an old clock'],
    ({ scene }) => void scene.grant(10_950, { run: 'ben', paths: ['lib/one.go'] }),
  ],
  [
    'a run that ends, by a clock read before, what it was granted in that very moment',
    ['no decision by an old clock'],
    ({ scene }) => {
      const lease = scene.grant(12_010, { run: 'ann', paths: ['lib/one.go'] });
      scene.end(12_000, lease, 'run_ended');
      scene.finish(12_000, 'ann');
    },
  ],
  [
    'a grant past somebody who waits',
    ['nobody waiting was overtaken'],
    ({ scene }) => {
      const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
      scene.queue(12_100, 'ticket 5', 'ben', ['lib/one.go', 'lib/two.go']);
      scene.grant(12_200, { run: 'ann', paths: ['lib/two.go'] });
      scene.release(12_300, lease);
    },
  ],
  [
    'a grant past the place of an admission that may still be heard of',
    ['nobody waiting was overtaken'],
    ({ scene }) => passPlace(scene, 44_000, { joined: false }),
  ],
  [
    'a grant past such a place that a second request has joined',
    ['nobody waiting was overtaken'],
    ({ scene }) => passPlace(scene, 14_000, { joined: true }),
  ],
  [
    'an upgrade past somebody who would share what it holds, and waits for another',
    ['nobody waiting was overtaken'],
    ({ scene }) => {
      const shared = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'], mode: 'shared' });
      scene.grant(12_000, { run: 'ann', paths: ['lib/two.go'] });
      scene.queue(12_100, 'ticket 5', 'ben', ['lib/one.go', 'lib/two.go'], 'shared');
      scene.grant(12_200, { run: 'ann', paths: ['lib/one.go'] });
      scene.end(12_200, shared, 'upgraded');
    },
  ],
  [
    'a grant from the queue to a run that is silent',
    ['nobody waiting was overtaken'],
    ({ scene }) => {
      const lease = scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
      scene.queue(12_100, 'ticket 5', 'ben', ['lib/one.go']);
      scene.event(22_000, 'run.stalled', 'ben');
      scene.end(30_000, lease, 'expired');
      scene.grant(30_000, { run: 'ben', paths: ['lib/one.go'], ticket: 'ticket 5' });
    },
  ],
  ['a waiter is forgotten', [FORGOTTEN], () => ({ forgotten: ['ben'] })],
  [
    'a ticket is granted without a word in the log',
    [FORGOTTEN],
    ({ scene }) => {
      scene.queue(12_000, 'ticket 6', 'ann', ['lib/two.go']);
      change(scene.waiters, scene.waiters.length - 1, { status: 'granted' });
    },
  ],
  ['an event is skipped', [EVENTS], ({ scene }) => void scene.followed.splice(3, 1)],
  ['the last event never arrives', [EVENTS], ({ scene }) => void scene.followed.pop()],
  ['an event comes twice', [EVENTS], ({ scene }) => void scene.followed.splice(3, 0, scene.followed[3]!)],
  [
    'two events change places',
    [EVENTS],
    ({ scene }) => void scene.followed.splice(3, 2, scene.followed[4]!, scene.followed[3]!),
  ],
  [
    'an event is another one than its hash says',
    [EVENTS],
    ({ scene }) => change(scene.followed, 3, { kind: 'run.invented' }),
  ],
  [
    'a hole in the table of events',
    [EVENTS],
    ({ scene }) => ({
      events: scene.events.map((event) => (event.seq < 7 ? event : { ...event, seq: event.seq + 1 })),
      followed: scene.followed,
    }),
  ],
  [
    'a row ended without a word',
    [TABLES],
    ({ scene, shared }) =>
      change(
        scene.leases,
        scene.leases.findIndex(({ id }) => id === shared.id),
        { ended: true, endReason: 'expired' },
      ),
  ],
  ['an ended lease that others still run into', [TABLES], ({ scene }) => change(scene.leases, 0, { keys: 1 })],
  [
    'a held lease that nobody finds',
    [TABLES],
    ({ scene, shared }) =>
      change(
        scene.leases,
        scene.leases.findIndex(({ id }) => id === shared.id),
        { keys: 0 },
      ),
  ],
  [
    'a renewal that the row of an ended lease does not show',
    [TABLES],
    ({ scene, first }) => change(scene.leases, 0, { expiresAtMs: Date.parse(first.expiresAt) }),
  ],
  ['a row with another expiry', [TABLES], ({ scene }) => change(scene.leases, 0, { expiresAtMs: START_MS + 1 })],
  [
    'an answer out of place',
    ['no answer was out of place'],
    ({ scene }) => void scene.told(12_000, 'acquire', 'ann', {}, 500, { code: 'internal' }),
  ],
  ['a run that cannot be ended', ['every run could be ended'], () => ({ unfinished: ['ann'] })],
];

/** The first answer about a lease, with something else in it. */
function tell(scene: Scene, lease: ToldLease, difference: Partial<ToldLease>): void {
  const operation = scene.history.find(({ sent }) => sent.purpose === lease.purpose)!;
  scene.history.push({
    ...operation,
    invokedMs: 110,
    answeredMs: 130,
    reply: { status: 201, body: { lease: { ...lease, ...difference } } },
  });
}

/** A grant that is told, and nowhere else. */
function forget(scene: Scene, run: string, atMs: number): void {
  const wish = { repo: 'acme/shop', paths: ['lib/two.go'], patterns: [], resources: [] };
  const expiresAt = new Date(START_MS + atMs + 5000).toISOString();
  const lease = {
    ...wish,
    id: 'lease of nobody',
    fence: 1000,
    runId: run,
    mode: 'exclusive',
    purpose: 'lost',
    ttlSeconds: 5,
    expiresAt,
  };
  scene.told(12_000, 'acquire', run, { ...wish, purpose: 'lost', ttlSeconds: 5 }, 201, { lease });
}

/** Of two grants the one with the higher fence is told before the other is asked for. */
function tellFirst(scene: Scene): void {
  scene.grant(12_000, { run: 'ann', paths: ['lib/one.go'] });
  const [asked] = scene.history.splice(-1);
  scene.grant(12_100, { run: 'ben', paths: ['lib/two.go'] });
  scene.history.push({ ...asked!, invokedMs: 12_200, answeredMs: 12_220 });
}

function patchEvent(
  scene: Scene,
  which: (event: Evidence['events'][number]) => boolean,
  data: Record<string, unknown>,
): void {
  const at = scene.events.findIndex(which);
  change(scene.events, at, { data: { ...scene.events[at]!.data, ...data } });
}
