import type { Edit } from '../rig/build.ts';

/** A mistake that somebody might make, as a change of the tree, and what of it the checker is to see. */
export interface PlantedBug {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** Invariants of which one at least has to break. */
  readonly breaks: readonly string[];
}

const HOT = 'src/modules/admission/hot';
const LEASES = 'src/modules/leases';
const edit = (under: string, find: string, replace: string): Edit => ({ under, find, replace });

const EXCLUSIVE = ['no two held one path: the log', 'no two held one path: what clients could believe'];
const OVER = 'nothing that was over moved';
const STALE = 'no stale request was granted';
const EVENTS = 'no event was skipped or doubled';

export const PLANTED: readonly PlantedBug[] = [
  {
    name: 'now() instead of a clock read after the lock',
    edits: [
      edit(
        HOT,
        `date_trunc('milliseconds', clock_timestamp()) AS now, h.seq`,
        `date_trunc('milliseconds', now()) AS now, h.seq`,
      ),
    ],
    breaks: ['no decision by an old clock'],
  },
  {
    name: 'the row of the repo is not locked',
    edits: [edit(HOT, 'text: `${text} FOR NO KEY UPDATE`', 'text')],
    breaks: EXCLUSIVE,
  },
  {
    name: 'the short way does not look for leases',
    edits: [edit('prisma/migrations/0013_answers_in_one_call', ") THEN 'a lease'", ") AND false THEN 'a lease'")],
    breaks: EXCLUSIVE,
  },
  {
    name: 'the fence is not compared',
    edits: [edit(HOT, 'if (lease.fence !== op.fence)', 'if (lease.fence === -1)')],
    breaks: [STALE],
  },
  {
    name: 'who holds it may be anybody',
    edits: [edit(HOT, 'requireActor(op.principal, known.loopId, known.holder.owner.id);', '')],
    breaks: [STALE],
  },
  {
    name: 'an answer is not kept under its Idempotency-Key',
    edits: [edit(HOT, 'keep(snapshot, plan, op, keyId, given);', '{}')],
    breaks: ['no retry was granted twice'],
  },
  {
    name: 'a lost COMMIT counts as done',
    edits: [
      edit(
        HOT,
        'if (!isConnectionLoss(error)) throw error;',
        "if (!isConnectionLoss(error)) throw error;\n      if (xid !== '') return { decided, xid, written: 1 };",
      ),
    ],
    breaks: ['nothing acknowledged is missing', 'no fence came again or went back'],
  },
  {
    name: 'a lost call counts as done',
    edits: [edit(HOT, 'return rows[0]!.late ? null : undefined;', 'return { at: snapshot.now, firstSeq: 1 };')],
    breaks: ['nothing acknowledged is missing'],
  },
  {
    name: 'of a lost call that was written, another time is told',
    edits: [
      edit(
        HOT,
        'if (written !== null) return written;',
        'if (written !== null) return { ...written, at: snapshot.now };',
      ),
    ],
    breaks: ['nothing acknowledged is missing'],
  },
  {
    name: 'the lock delay is not waited for',
    edits: [edit(LEASES, "return overdueMs < lockDelaySeconds * 1000 ? 'closing' : 'over';", "return 'over';")],
    breaks: [OVER],
  },
  {
    name: 'a heartbeat renews what has expired',
    edits: [
      edit(
        LEASES,
        'ANY (${repoIds}::uuid[]) AND expires_at > ${now}\n    RETURNING',
        'ANY (${repoIds}::uuid[])\n    RETURNING',
      ),
    ],
    breaks: [OVER],
  },
  {
    name: 'a grant does not end what it takes over',
    edits: [edit(HOT, "if (verdict.kind === 'grant') plan.clear(verdict.over);", '')],
    breaks: EXCLUSIVE,
  },
  {
    name: 'a renewal is not written',
    edits: [edit(HOT, 'this.#renewals.set(', 'new Map().set(')],
    breaks: ['tables and log agree', OVER],
  },
  {
    name: 'an old epoch may still speak',
    edits: [edit('src/modules/loops', 'if (check.ok) return;', 'if (check.ok || claimed < run.epoch) return;')],
    breaks: [STALE],
  },
  {
    name: 'a run that ends meanwhile gets its grant',
    edits: [edit(HOT, 'liveRuns: [...this.#liveRuns],', 'liveRuns: [],')],
    breaks: [OVER],
  },
  {
    name: 'the short way gives to a run that has ended',
    edits: [edit(HOT, 'runs.add(runId);', '')],
    breaks: [OVER, STALE],
  },
  {
    name: 'the live feed skips an event',
    edits: [
      edit(
        'src/modules/activity',
        'position = events.at(-1)?.seq ?? position;',
        'position = (events.at(-1)?.seq ?? position) + Number(events.length > 2);',
      ),
    ],
    breaks: [EVENTS],
  },
  {
    name: 'the live feed sends an event twice',
    edits: [
      edit(
        'src/modules/activity',
        'position = events.at(-1)?.seq ?? position;',
        'position = Math.max(position, (events.at(-1)?.seq ?? 0) - Number(events.length > 2));',
      ),
    ],
    breaks: [EVENTS],
  },
  {
    name: 'who waits is not looked at when a lease ends',
    edits: [
      edit(
        LEASES,
        '    if (ids.length === 0) return;\n    const gathered',
        '    if (ids.length >= 0) return;\n    const gathered',
      ),
      edit(LEASES, 'await this.#lookAt(due);', ''),
    ],
    breaks: ['nobody waiting was forgotten'],
  },
  {
    name: 'whoever comes later may go first',
    edits: [edit(LEASES, 'if (table.size === 0) return;', 'if (table.size >= 0) return;')],
    breaks: ['nobody waiting was overtaken'],
  },
  {
    name: 'a waiter whose run has ended gets its lease',
    edits: [
      edit(LEASES, "const left = await leaveLine(tx, run, { reason: 'run_ended' }, instruments);", 'const left = [];'),
      edit(HOT, "if (run === undefined || run.status === 'finished') return", 'if (run === undefined) return'),
      edit(HOT, "return run.status === 'running' && silentMs", 'return silentMs'),
      edit(
        HOT,
        'filter(([, list]) => list.length > 0)',
        'filter(([name, list]) => list.length > 0 && !/^(live|alive)Runs$/.test(name))',
      ),
    ],
    breaks: [OVER],
  },
  {
    name: 'what an admin has revoked is taken back at once',
    edits: [edit(LEASES, 'if (isOwn) found.revoked ??= overlap;', '')],
    breaks: [OVER],
  },
];
