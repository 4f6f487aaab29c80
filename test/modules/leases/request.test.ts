import { describe, expect, it } from 'vitest';
import { compileFairly } from '../../../src/modules/leases/request.ts';
import { compileStored } from '../../../src/modules/leases/uncompiled.ts';
import { turnsDuring } from '../../support/turns.ts';

/** Expands to 64 texts: some milliseconds each. */
const costly = (at: number) => `${'{a,b}'.repeat(6)}${'[x-z]'.repeat(80)}${at}`;

describe('compileFairly', () => {
  it('lets others go on between patterns that are costly to compile, few as they are', async () => {
    expect(await turnsDuring(() => compileFairly(Array.from({ length: 40 }, (_, at) => costly(at))))).toBeGreaterThan(
      5,
    );
    expect(
      await turnsDuring(() => compileFairly(Array.from({ length: 7 }, (_, at) => costly(100 + at)))),
    ).toBeGreaterThan(0);
  });

  it('takes no turn for patterns that were compiled before, nor for more than a request may hold', async () => {
    const known = Array.from({ length: 40 }, (_, at) => costly(200 + at));
    await compileFairly(known);
    expect(await turnsDuring(() => compileFairly(known))).toBe(0);
    const tooMany = Array.from({ length: 501 }, (_, at) => costly(300 + at));
    expect(await turnsDuring(() => compileFairly(tooMany))).toBe(0);
  });
});

it('what is held and not compiled yet is, in turns with everything else', async () => {
  const held = Array.from({ length: 40 }, (_, at) => costly(900 + at));
  expect(await turnsDuring(() => compileStored(held))).toBeGreaterThan(5);
  expect(await turnsDuring(() => compileStored(held))).toBe(0);
});

it('what is held is compiled as far as whoever waits for it has the patience, and goes on from there', async () => {
  const held = Array.from({ length: 40 }, (_, at) => costly(1900 + at));
  const [first, second] = [await compileStored(held, 1_000_000), await compileStored(held)];
  expect(first).toBeGreaterThan(1_000_000);
  expect(first).toBeLessThan(second);
  expect(await compileStored(held)).toBeLessThan(1000);
});
