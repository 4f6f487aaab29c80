import { describe, expect, it } from 'vitest';
import { KeyedLimiter } from '../../../src/platform/limiter.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Work that reports when it starts and ends when it is told to. */
function jobs(limiter: KeyedLimiter) {
  const started: string[] = [];
  const ends = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  const run = (key: string, name: string) => {
    const done = limiter.run(key, async () => {
      started.push(name);
      await new Promise<void>((resolve, reject) => ends.set(name, { resolve, reject }));
      return name;
    });
    done.catch(() => undefined);
    return done;
  };
  return {
    started,
    run,
    end: (name: string) => ends.get(name)!.resolve(),
    fail: (name: string) => ends.get(name)!.reject(new Error(name)),
  };
}

describe('a limiter', () => {
  it('lets so many of a key run, and the others in the order in which they came', async () => {
    const { started, run, end } = jobs(new KeyedLimiter({ concurrency: 2, queue: 10 }));
    const all = ['a', 'b', 'c', 'd', 'e'].map((name) => run('k', name));
    await turn();
    expect(started).toEqual(['a', 'b']);
    end('b');
    await turn();
    expect(started).toEqual(['a', 'b', 'c']);
    end('a');
    end('c');
    await turn();
    expect(started).toEqual(['a', 'b', 'c', 'd', 'e']);
    end('d');
    end('e');
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('gives a place that became free to whoever waits, not to who comes just then', async () => {
    const { started, run, end } = jobs(new KeyedLimiter({ concurrency: 1, queue: 10 }));
    const first = run('k', 'first');
    void run('k', 'waiting');
    await turn();
    end('first');
    await first;
    void run('k', 'late');
    await turn();
    expect(started).toEqual(['first', 'waiting']);
    end('waiting');
    await turn();
    expect(started).toEqual(['first', 'waiting', 'late']);
    end('late');
  });

  it('refuses with 429 who finds the queue full, and that one alone', async () => {
    const { started, run, end } = jobs(new KeyedLimiter({ concurrency: 1, queue: 1 }));
    void run('k', 'a');
    const waiting = run('k', 'b');
    await expect(run('k', 'c')).rejects.toMatchObject({
      status: 429,
      message: 'Too many requests are waiting on this server.',
      headers: { 'retry-after': '1' },
    });
    await turn();
    end('a');
    await turn();
    end('b');
    expect(await waiting).toBe('b');
    expect(started).toEqual(['a', 'b']);
  });

  it('keeps keys apart', async () => {
    const { started, run, end } = jobs(new KeyedLimiter({ concurrency: 1, queue: 0 }));
    void run('k', 'a');
    void run('l', 'b');
    await turn();
    expect(started).toEqual(['a', 'b']);
    await expect(run('k', 'c')).rejects.toMatchObject({ status: 429 });
    end('a');
    end('b');
  });

  it('gives the place back when work fails, and tells that failure', async () => {
    const { started, run, end, fail } = jobs(new KeyedLimiter({ concurrency: 1, queue: 5 }));
    const doomed = run('k', 'a');
    const next = run('k', 'b');
    await turn();
    fail('a');
    await expect(doomed).rejects.toThrow('a');
    await turn();
    end('b');
    expect(await next).toBe('b');
    expect(started).toEqual(['a', 'b']);
  });
});
