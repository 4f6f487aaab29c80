import { z } from 'zod';
import type { Approval } from './shapes.ts';
import { exact } from './text.ts';

const subject = z.record(z.string(), z.unknown());
const partsShape = z.array(z.looseObject({ action: z.string(), subjects: z.array(subject) }));

/** What a subject is about when it says nothing else: its name would tell nothing new. */
const SPEAKS_FOR_ITSELF: ReadonlySet<string> = new Set(['path', 'command']);

/**
 * What an approval is for, a line for each path, command or other subject, all of it: what this version does not know
 * is spelled out as it came, as a person must not approve what they were not shown.
 */
export function askedFor({ action, subject: whole }: Approval): string[] {
  const { parts, repo, purpose: _purpose, ...rest } = whole;
  const known = partsShape.safeParse(parts);
  const lines = known.success
    ? known.data.flatMap(({ action: name, subjects, ...more }) => [
        ...subjects.map((one) => `${exact(name)} ${membersOf(one, repo)}`.trimEnd()),
        ...rests(more),
      ])
    : [`${exact(action)} ${membersOf(parts === undefined ? {} : { parts }, repo)}`.trimEnd()];
  return [...lines, ...rests(rest)];
}

/** Why, in the words of whoever asked. */
export function purposeOf({ subject: { purpose } }: Approval): string | null {
  return typeof purpose === 'string' ? purpose : null;
}

function rests(more: Readonly<Record<string, unknown>>): string[] {
  const isSaid = (value: unknown) => value !== null && value !== undefined;
  return Object.entries(more)
    .filter(([, value]) => isSaid(value))
    .map(([name, value]) => `${exact(name)} ${valueOf(value)}`);
}

/** @param repo what the approval as a whole is about, and is shown for it: not said again */
function membersOf(members: Readonly<Record<string, unknown>>, repo: unknown): string {
  const said = Object.entries(members).filter(([name, value]) => name !== 'repo' || value !== repo);
  const [only] = said;
  if (said.length === 1 && SPEAKS_FOR_ITSELF.has(only![0])) return valueOf(only![1]);
  return said.map(([name, value]) => `${exact(name)} ${valueOf(value)}`).join(', ');
}

const valueOf = (value: unknown): string => exact(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
