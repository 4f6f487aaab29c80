import { type Path, parsePath } from '../../../patterns/index.ts';
import { ACTIONS, type ActionName, type FieldType, isAction } from './actions.ts';
import type { RequestContext } from './matcher.ts';
import { normalizeCommand } from './operators.ts';

/** Who asks, as the server knows it. */
export interface Actor {
  readonly principalId: string;
  /** The role of the key in use. */
  readonly role: string;
  readonly loop?: { readonly id: string; readonly name: string; readonly labels: readonly string[] };
  /** Principal who owns the loop. */
  readonly owner?: string;
  /** Names of the teams that the request counts for. */
  readonly teams: readonly string[];
}

export interface RunState {
  readonly id: string;
  readonly iteration: number;
  readonly status: string;
}

/** One thing asked, as the caller wrote it; only the fields of its action are read. */
export type Subject = Readonly<Record<string, unknown>>;

export interface EvaluationRequest {
  readonly action: ActionName;
  /** One; for an action on paths, one for each path. */
  readonly subjects: readonly Subject[];
  readonly actor: Actor;
  readonly run?: RunState;
  /** The server's clock, never the caller's word. */
  readonly at: Date;
  /** Whether the repo tells `A` from `a` in paths. */
  readonly caseSensitive: boolean;
}

export interface MissingField {
  readonly field: string;
  readonly reason: string;
}

/** What is asked of one subject, or why it cannot be asked. */
export interface SubjectContext {
  readonly context: RequestContext;
  readonly repo: string | null;
  readonly path: Path | null;
  readonly missing: readonly MissingField[];
}

/** Longest text of a field, in UTF-16 units: globs are linear in it, times their own length at worst. */
export const MAX_TEXT_LENGTH = 131_072;

type Read = { readonly value: unknown } | { readonly problem: string };

function readText(value: unknown): Read {
  if (typeof value !== 'string' || value.trim() === '') return { problem: 'must be a text that is not empty' };
  if (value.length > MAX_TEXT_LENGTH) return { problem: `must not be longer than ${MAX_TEXT_LENGTH} characters` };
  return { value };
}

/** A request's value in the form in which rules compare it. */
function readValue(type: FieldType, value: unknown): Read {
  switch (type) {
    case 'text':
      return readText(value);
    case 'command': {
      const read = readText(value);
      return 'problem' in read ? read : { value: normalizeCommand(read.value as string) };
    }
    case 'path': {
      if (typeof value !== 'string') return { problem: 'must be a path' };
      const parsed = parsePath(value);
      return parsed.ok ? { value: parsed.path } : { problem: `must be a path (${parsed.problem.detail})` };
    }
    case 'number':
      if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return { value };
      return { problem: 'must be a number that is not negative' };
    case 'boolean':
      return typeof value === 'boolean' ? { value } : { problem: 'must be true or false' };
    case 'list':
      if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return { value };
      return { problem: 'must be a list of texts' };
    case 'instant':
      return { problem: 'is set by the server' };
  }
}

type Values = Record<string, unknown>;

function serverValues({ actor, run, at }: EvaluationRequest): Values {
  return {
    principal: actor.principalId,
    role: actor.role,
    team: actor.teams,
    owner: actor.owner,
    'loop.id': actor.loop?.id,
    'loop.name': actor.loop?.name,
    'loop.labels': actor.loop?.labels,
    'run.id': run?.id,
    'run.iteration': run?.iteration,
    'run.status': run?.status,
    at: at.getTime(),
  };
}

function readSubject(action: ActionName, subject: Subject, values: Values): MissingField[] {
  const { required, optional } = ACTIONS[action];
  const missing: MissingField[] = [];
  const read = (field: string, type: FieldType, needed: boolean): void => {
    const value = Object.hasOwn(subject, field) ? subject[field] : undefined;
    if (value === undefined || value === null) {
      if (needed) missing.push({ field, reason: `${action} needs ${field}, which is missing.` });
      return;
    }
    const result = readValue(type, value);
    // An optional field of the wrong type is not dropped: a deny that looks at it would no longer see it.
    if ('problem' in result) missing.push({ field, reason: `${action} needs ${field}: it ${result.problem}.` });
    else values[field] = result.value;
  };
  for (const [field, type] of Object.entries<FieldType>(required)) read(field, type, true);
  for (const [field, type] of Object.entries<FieldType>(optional)) read(field, type, false);
  return missing;
}

/**
 * What rules see of a request, one context for each subject. Fields are copied by name from the table of actions, so a
 * caller's own `at`, `owner` or `__caslSubjectType__` goes nowhere. Without a subject all that is required is missing.
 */
export function contextsOf(request: EvaluationRequest): SubjectContext[] {
  const { action, caseSensitive } = request;
  if (!isAction(action)) throw new TypeError(`no action ${String(action)}`);
  if (Number.isNaN(request.at.getTime())) throw new TypeError('a request needs a time');
  const server = serverValues(request);
  const subjects = request.subjects.length > 0 ? request.subjects : [{}];
  return subjects.map((subject) => {
    const values: Values = { ...server };
    const missing = readSubject(action, subject, values);
    return {
      context: { values, caseSensitive },
      repo: (values['repo'] as string | undefined) ?? null,
      path: (values['path'] as Path | undefined) ?? null,
      missing,
    };
  });
}
