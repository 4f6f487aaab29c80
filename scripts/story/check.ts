/** Something in the story did not go as told; the message says what was expected and what came. */
export class StoryFailure extends Error {
  override readonly name = 'StoryFailure';
}

/** @throws StoryFailure unless `actual` is like `expected` (see `mismatch`) */
export function expectLike(what: string, actual: unknown, expected: unknown): void {
  const found = mismatch(actual, expected);
  if (found !== null) throw new StoryFailure(`${what}: ${found}`);
}

/** @throws StoryFailure */
export function expectThat(holds: boolean, expected: string): asserts holds {
  if (!holds) throw new StoryFailure(`expected ${expected}`);
}

/**
 * Where `actual` is not like `expected`: of objects only the fields that `expected` names are looked at; lists are as
 * long as expected; anything else is the same value. Null when it is like it.
 */
export function mismatch(actual: unknown, expected: unknown, at = 'it'): string | null {
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual)) return differs(at, actual, expected);
    if (actual.length !== expected.length)
      return `${at} has ${actual.length} items, expected ${expected.length}: ${show(actual)}`;
    return firstOf(expected.map((one, index) => mismatch(actual[index], one, `${at}[${index}]`)));
  }
  if (typeof expected === 'object' && expected !== null) {
    if (typeof actual !== 'object' || actual === null) return differs(at, actual, expected);
    const fields = actual as Record<string, unknown>;
    return firstOf(Object.entries(expected).map(([name, one]) => mismatch(fields[name], one, `${at}.${name}`)));
  }
  return Object.is(actual, expected) ? null : differs(at, actual, expected);
}

const firstOf = (found: readonly (string | null)[]) => found.find((one) => one !== null) ?? null;
const differs = (at: string, actual: unknown, expected: unknown) =>
  `${at} is ${show(actual)}, expected ${show(expected)}`;

const SHOWN = 600;

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
