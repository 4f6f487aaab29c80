/** What a server answers whose caches have nothing of what is held: after a restart, or where another server granted it. */
import { expect, it } from 'vitest';
import { compilePattern, STEPS_A_TURN, storedPattern } from '../../../src/patterns/index.ts';
import { mostStepsInATurn } from '../../support/turns.ts';
import { held, queue, ticketOf, waitingLine } from './line.ts';
import { give, through } from './support.ts';

const { crew, pair } = waitingLine();

const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
/** Some three milliseconds each to compile. */
const costly = (name: string, count: number) =>
  many(count, (at) => `{a,b}{c,d}{e,f}{g,h}{i,j}{k,l}/${'?'.repeat(150)}${name}${at}`);
const within = (name: string, at: number) => `acegik/${'x'.repeat(150)}${name}${at}`;

/** Both caches, which the servers of a process share, remember some two thousand. */
function forgetEverything(): void {
  for (let at = 0; at < 2100; at += 1) {
    compilePattern(`forget/${at}/*`);
    storedPattern(`forget/${at}/?`);
  }
}

it('a wait that would close a cycle through what has to be compiled first is refused at once all the same', async () => {
  const [, ann, bob, cid] = await crew(3);
  // In another repo: in that of the wait it would be compiled for the wait itself.
  await held(ann!, { repo: 'acme/other', patterns: costly('cycle', 60) });
  await held(bob!, { paths: ['b'] });
  await held(cid!, { paths: ['c'] });
  await queue(ann!, { paths: ['b'] });
  await queue(cid!, { repo: 'acme/other', paths: [within('cycle', 59)] });
  forgetEverything();
  expect(await bob!.acquire({ paths: ['c'], waitSeconds: 5 })).toMatchObject({
    status: 409,
    body: { code: 'lease_deadlock' },
  });
});

it('a ticket has its place and what is in its way, whatever has to be compiled for that', async () => {
  const [, ann, bob] = await crew(2);
  await held(ann!, { patterns: costly('ticket', 60) });
  const id = await queue(bob!, { paths: [within('ticket', 59)] });
  forgetEverything();
  expect(await ticketOf(bob!, id)).toMatchObject({ position: 1, conflicts: [{ witness: within('ticket', 59) }] });
});

it('a lease is given back while others go on, whatever has to be compiled for that', async () => {
  const [, ann] = await crew(1);
  const lease = await held(ann!, { patterns: costly('given', 60) });
  forgetEverything();
  const most = await mostStepsInATurn(async () =>
    expect((await give(through(pair.other, ann!), lease)).status).toBe(200),
  );
  expect(most).toBeGreaterThan(STEPS_A_TURN);
  expect(most).toBeLessThan(4 * STEPS_A_TURN);
});

it('a wait is not refused because more has to be compiled for it than is remembered at once', async () => {
  const [, ann, bob, cid] = await crew(3);
  // Behind Bob waits Ann, behind Ann Cid; what they hold is never compiled both at once.
  const hold = async (runner: typeof ann, name: string) => {
    for (let part = 0; part < 3; part += 1) {
      const patterns = many(500, (at) => `${name}/${part}/${at}/{a,b}{c,d}{e,f}{g,h}?`);
      await held(runner!, { repo: 'acme/other', patterns });
    }
  };
  await hold(bob, 'of bob');
  await hold(ann, 'of ann');
  await held(cid!, { paths: ['c'] });
  await queue(ann!, { repo: 'acme/other', paths: ['of bob/2/499/acegx'] });
  await queue(cid!, { repo: 'acme/other', paths: ['of ann/2/499/acegx'] });
  forgetEverything();
  expect((await bob!.acquire({ paths: ['c'], waitSeconds: 0.01 })).body.code ?? 'waits').toBe('waits');
});
