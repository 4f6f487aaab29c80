import type { Field } from './field.ts';
import { escapePattern, literal, normalisePath, normalisePattern, under } from './field.ts';
import type { Effect } from './model.ts';
import type { Outcome } from './outcome.ts';
import type { Scope } from './scope.ts';
import type { Session } from './session.ts';

/** Devices that hold nothing. */
const DEVICES = new Set(['/dev/null', '/dev/stdout', '/dev/stderr', '/dev/tty', '/dev/zero', '/dev/full']);
/** Names of open files: a write to them lands elsewhere. */
const OPEN_FILES = /^\/(dev\/(fd|stdin)|proc)(\/|$)/;

export function isDevice(field: Field): boolean {
  return field.unknown === undefined && field.pattern === undefined && DEVICES.has(field.text);
}

type Write = Extract<Outcome, { do: 'edit' | 'delete' }>;

/** Turns a write into effects on absolute paths, one for each directory that the shell may be in. */
export function settleWrite(session: Session, scope: Scope, write: Write): void {
  const { target, by } = write;
  if (target.unknown !== undefined) {
    session.flag(target.unknown, `${by} ${target.text}`);
    return;
  }
  if (target.text === '' || isDevice(target)) return;
  if (!target.text.startsWith('/') && scope.directories === undefined) {
    session.flag('dynamic_cd', `${by} ${target.text}`);
    return;
  }
  for (const directory of target.text.startsWith('/') ? ['/'] : scope.directories!) settleAt(session, directory, write);
}

function settleAt(session: Session, directory: string, { do: kind, target, by, recursive }: Write): void {
  const base: Pick<Effect, 'kind' | 'by' | 'recursive'> = recursive ? { kind, by, recursive: true } : { kind, by };
  const path = normalisePath(target.text.startsWith('/') ? target.text : `${directory}/${target.text}`);
  if (OPEN_FILES.test(path)) session.flag('link', `${by} ${target.text}`);
  // A bracket that matches nothing stays as it is written: `app/[id]/page.tsx` is also a file.
  if (target.pattern === undefined || /[[\\]/.test(target.text)) session.effect({ ...base, path });
  if (target.pattern === undefined) return;
  const absolute = target.pattern.startsWith('/') ? target.pattern : `${escapePattern(directory)}/${target.pattern}`;
  const pattern = normalisePattern(absolute);
  if (pattern === undefined) session.flag('glob', `${by} ${target.text}`);
  else session.effect({ ...base, path: pattern, glob: true });
}

/** The absolute directories that a field names; undefined if not known. */
export function resolveDirectories(scope: Scope, field: Field): readonly string[] | undefined {
  if (field.unknown !== undefined || field.pattern !== undefined) return undefined;
  if (field.text.startsWith('/')) return [normalisePath(field.text)];
  return scope.directories?.map((directory) => normalisePath(under(literal(directory), field).text));
}
