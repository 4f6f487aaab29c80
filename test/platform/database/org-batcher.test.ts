import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BatchLimits, OrgBatcher, type Settled } from '../../../src/platform/database/org-batcher.ts';

const answered = (op: number): Settled<string> => ({ ok: true, answer: `${op}` });

const LIMITS = { ops: 128 };

/** A `run` that is let go by hand, batch by batch. */
function held(limits: BatchLimits<number> = LIMITS) {
  const batches: {
    orgId: string;
    ops: readonly number[];
    settle: (results?: Settled<string>[]) => void;
    fail: (error: Error) => void;
  }[] = [];
  const run = (orgId: string, ops: readonly number[]) =>
    new Promise<Settled<string>[]>((resolve, reject) => {
      batches.push({ orgId, ops, settle: (results = ops.map(answered)) => resolve(results), fail: reject });
    });
  return { batches, batcher: new OrgBatcher<number, string>(run, limits) };
}

/** Some turns of the event loop: whatever can go on without us has gone on. */
async function turn(): Promise<void> {
  for (let i = 0; i < 4; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('batches of an org', () => {
  it('weigh no more together than they may; what is too heavy alone goes alone', async () => {
    const { batches, batcher } = held({ ops: 4, weigh: (op) => op, weight: 10 });
    const all = [1, 4, 5, 1, 30, 2, 2, 2, 2, 2].map((op) => batcher.submit('a', op));
    const taken: (readonly number[])[] = [];
    for (let at = 0; taken.flat().length < all.length; at += 1) {
      await turn();
      taken.push(batches[at]!.ops);
      batches[at]!.settle();
    }
    expect(taken).toEqual([[1, 4, 5], [1], [30], [2, 2, 2, 2], [2]]);
    await Promise.all(all);
  });

  it('start at once, gather while one is under way, keep the order, and answer each its own', async () => {
    const { batches, batcher } = held();
    const first = batcher.submit('a', 0);
    await turn();
    expect(batches.map(({ ops }) => ops)).toEqual([[0]]);
    const later = [1, 2, 3].map((op) => batcher.submit('a', op));
    await turn();
    expect(batches).toHaveLength(1);
    batches[0]!.settle();
    expect(await first).toBe('0');
    expect(batches[1]!.ops).toEqual([1, 2, 3]);
    batches[1]!.settle();
    expect(await Promise.all(later)).toEqual(['1', '2', '3']);
  });

  it('take what was submitted in the same turn together', async () => {
    const { batches, batcher } = held();
    const all = [1, 2, 3].map((op) => batcher.submit('a', op));
    await turn();
    expect(batches.map(({ ops }) => ops)).toEqual([[1, 2, 3]]);
    batches[0]!.settle();
    expect(await Promise.all(all)).toEqual(['1', '2', '3']);
  });

  it('do not wait for another org', async () => {
    const { batches, batcher } = held();
    const stuck = batcher.submit('a', 1);
    const free = batcher.submit('b', 2);
    await turn();
    expect(batches.map(({ orgId }) => orgId)).toEqual(['a', 'b']);
    batches[1]!.settle();
    expect(await free).toBe('2');
    batches[0]!.settle();
    await stuck;
  });

  it('fail the one op that is refused and no other', async () => {
    const { batches, batcher } = held();
    const all = [1, 2, 3].map((op) => batcher.submit('a', op));
    await turn();
    const poison = new Error('poison');
    batches[0]!.settle([answered(1), { ok: false, error: poison }, answered(3)]);
    expect(await Promise.allSettled(all)).toEqual([
      { status: 'fulfilled', value: '1' },
      { status: 'rejected', reason: poison },
      { status: 'fulfilled', value: '3' },
    ]);
  });

  it('fail together when the run fails, and the next batch runs', async () => {
    const { batches, batcher } = held();
    const doomed = [1, 2].map((op) => batcher.submit('a', op));
    for (const one of doomed) one.catch(() => undefined);
    await turn();
    const next = batcher.submit('a', 3);
    const error = new Error('lost');
    batches[0]!.fail(error);
    await turn();
    expect((await Promise.allSettled(doomed)).map((one) => one.status === 'rejected' && one.reason)).toEqual([
      error,
      error,
    ]);
    batches[1]!.settle();
    expect(await next).toBe('3');
    const after = batcher.submit('a', 4);
    await turn();
    batches[2]!.settle();
    expect(await after).toBe('4');
  });

  it('are at most 128 long, and at most 8192 wait', async () => {
    const { batches, batcher } = held();
    const all = [batcher.submit('a', 0)];
    await turn();
    for (let op = 1; op <= 8192; op += 1) all.push(batcher.submit('a', op));
    expect(() => batcher.submit('a', 9999)).toThrow(expect.objectContaining({ status: 429 }));
    expect(() => void all.push(batcher.submit('b', 1))).not.toThrow();
    for (let i = 0; i < batches.length; i += 1) {
      batches[i]!.settle();
      await turn();
    }
    await Promise.all(all);
    expect(Math.max(...batches.map(({ ops }) => ops.length))).toBe(128);
    expect(batches.filter(({ orgId }) => orgId === 'a').flatMap(({ ops }) => ops)).toEqual(
      Array.from({ length: 8193 }, (_, i) => i),
    );
  });

  it('are answered once the next one is under way, though that takes some ticks to begin', async () => {
    const order: string[] = [];
    const batcher = new OrgBatcher<number, string>(async (_orgId, ops) => {
      // As a connection is taken from its pool.
      await new Promise<void>((resolve) => process.nextTick(resolve));
      order.push(`begun ${ops.join()}`);
      await turn();
      return ops.map(answered);
    }, LIMITS);
    const submit = (op: number) => batcher.submit('a', op).then(() => order.push(`answered ${op}`));
    const first = submit(0);
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([first, submit(1), submit(2)]);
    expect(order).toEqual(['begun 0', 'begun 1,2', 'answered 0', 'answered 1', 'answered 2']);
  });

  it('settle every op once, in order per org, one batch at a time, whatever arrives when and fails', async () => {
    const arrivals = fc.array(
      fc.record({ org: fc.constantFrom('a', 'b', 'c'), pause: fc.boolean(), fails: fc.boolean() }),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(arrivals, async (steps) => {
        const running = new Map<string, number>();
        const seen = new Map<string, number[]>();
        const batcher = new OrgBatcher<number, string>(async (orgId, ops) => {
          expect(running.get(orgId) ?? 0).toBe(0);
          running.set(orgId, 1);
          await turn();
          running.set(orgId, 0);
          seen.set(orgId, [...(seen.get(orgId) ?? []), ...ops]);
          return ops.map((op) => (steps[op]!.fails ? { ok: false, error: `${op}` } : answered(op)));
        }, LIMITS);
        const replies: Promise<string>[] = [];
        for (const [op, { org, pause }] of steps.entries()) {
          const reply = batcher.submit(org, op);
          reply.catch(() => undefined);
          replies.push(reply);
          if (pause) await turn();
        }
        const settled = await Promise.allSettled(replies);
        settled.forEach((one, op) => {
          const value = one.status === 'fulfilled' ? one.value : (one.reason as string);
          expect([one.status, value]).toEqual([steps[op]!.fails ? 'rejected' : 'fulfilled', `${op}`]);
        });
        for (const [org, ops] of seen) expect(ops).toEqual([...steps.keys()].filter((op) => steps[op]!.org === org));
      }),
      { numRuns: 100, plugins: [fc.interruptAfterTimeLimit(3000)] },
    );
  });
});
