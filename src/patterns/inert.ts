import { DOT, type Ranges, SLASH } from './char-set.ts';

/**
 * Characters that compose with nothing, before or behind, and that no mark is sorted past: where a class allows one, no
 * other need be tried to find a path in NFC. These read best in a witness.
 */
export const READABLE = Array.from('q0123456789_-Q,;:()!@#%&~+*?', (character) => character.codePointAt(0)!);

/** Where Unicode has canonical decompositions, or may get some. Hangul, which is composed by rule, is none of it. */
const BLOCKS: Ranges = [
  [0x00a0, 0x33ff],
  [0xa000, 0xabff],
  [0xf900, 0xffff],
  [0x10000, 0x1ffff],
  [0x2f800, 0x2fa1f],
];
const HANGUL = { first: 0xac00, last: 0xd7a3, trailing: 28 };
/** Leading consonants, vowels, trailing consonants. */
const JAMO: Ranges = [
  [0x1100, 0x1112],
  [0x1161, 0x1175],
  [0x11a8, 0x11c2],
];
/** Code points normalised at once: most stretches have nothing to decompose. */
const STRETCH = 64;

let composing: ReadonlySet<number> | null = null;

/** Whether a character is NFC wherever it stands, and whatever stands beside it stays what it is. */
export function isInert(point: number): boolean {
  if (point === DOT || point === SLASH) return false;
  // A syllable with a trailing consonant is complete.
  if (point >= HANGUL.first && point <= HANGUL.last) return (point - HANGUL.first) % HANGUL.trailing !== 0;
  if (JAMO.some(([low, high]) => point >= low && point <= high)) return false;
  composing ??= composingPoints();
  return !composing.has(point) && !/^\p{M}$/u.test(String.fromCodePoint(point));
}

/** What decomposes, and what that is composed of. Worked out when it is first asked for, which few ever do. */
function composingPoints(): ReadonlySet<number> {
  const found = new Set<number>();
  for (const [low, high] of BLOCKS) {
    for (let start = low; start <= high; start += STRETCH)
      addStretch(start, Math.min(start + STRETCH - 1, high), found);
  }
  return found;
}

function addStretch(low: number, high: number, found: Set<number>): void {
  const characters = Array.from({ length: high - low + 1 }, (_, at) => String.fromCodePoint(low + at));
  // The line breaks keep marks from being sorted among each other.
  const joined = characters.join('\n');
  if (joined.normalize('NFD') === joined) return;
  for (const character of characters) {
    const parts = character.normalize('NFD');
    if (parts === character) continue;
    found.add(character.codePointAt(0)!);
    // Others, as the Kelvin sign, are only spelled otherwise: nothing ever becomes them.
    if (parts.normalize('NFC') !== character) continue;
    for (const part of parts) found.add(part.codePointAt(0)!);
  }
}
