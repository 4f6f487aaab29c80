import { type Path, parsePath } from '../../../patterns/index.ts';
import {
  type ActionName,
  type FieldType,
  isAction,
  SLOT_COUNT,
  SUBJECT_FIELDS,
  type SubjectField,
  slotOf,
} from './actions.ts';
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
const MAX_TEXT_LENGTH = 131_072;

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

const SERVER_SLOTS = {
  principal: slotOf('principal'),
  role: slotOf('role'),
  team: slotOf('team'),
  owner: slotOf('owner'),
  loopId: slotOf('loop.id'),
  loopName: slotOf('loop.name'),
  loopLabels: slotOf('loop.labels'),
  runId: slotOf('run.id'),
  runIteration: slotOf('run.iteration'),
  runStatus: slotOf('run.status'),
  at: slotOf('at'),
} as const;
const REPO_SLOT = slotOf('repo');
const PATH_SLOT = slotOf('path');
const NO_VALUES: readonly unknown[] = Array.from({ length: SLOT_COUNT }, () => undefined);
const NOTHING_MISSING: readonly MissingField[] = [];

function serverValues({ actor, run, at }: EvaluationRequest): unknown[] {
  const values = NO_VALUES.slice();
  values[SERVER_SLOTS.principal] = actor.principalId;
  values[SERVER_SLOTS.role] = actor.role;
  values[SERVER_SLOTS.team] = actor.teams;
  values[SERVER_SLOTS.owner] = actor.owner;
  values[SERVER_SLOTS.loopId] = actor.loop?.id;
  values[SERVER_SLOTS.loopName] = actor.loop?.name;
  values[SERVER_SLOTS.loopLabels] = actor.loop?.labels;
  values[SERVER_SLOTS.runId] = run?.id;
  values[SERVER_SLOTS.runIteration] = run?.iteration;
  values[SERVER_SLOTS.runStatus] = run?.status;
  values[SERVER_SLOTS.at] = at.getTime();
  return values;
}

/** Null when the field is there, or may be left out and is. */
function readField(action: ActionName, field: SubjectField, subject: Subject, values: unknown[]): MissingField | null {
  const { name, type, required, slot } = field;
  const value = Object.hasOwn(subject, name) ? subject[name] : undefined;
  if (value === undefined || value === null) {
    return required ? { field: name, reason: `${action} needs ${name}, which is missing.` } : null;
  }
  const read = readValue(type, value);
  // An optional field of the wrong type is not dropped: a deny that looks at it would no longer see it.
  if ('problem' in read) return { field: name, reason: `${action} needs ${name}: it ${read.problem}.` };
  values[slot] = read.value;
  return null;
}

function contextOf(request: EvaluationRequest, subject: Subject, values: unknown[]): SubjectContext {
  let missing: MissingField[] | null = null;
  for (const field of SUBJECT_FIELDS.get(request.action) ?? []) {
    const problem = readField(request.action, field, subject, values);
    if (problem !== null) (missing ??= []).push(problem);
  }
  return {
    context: { values, caseSensitive: request.caseSensitive },
    repo: (values[REPO_SLOT] as string | undefined) ?? null,
    path: (values[PATH_SLOT] as Path | undefined) ?? null,
    missing: missing ?? NOTHING_MISSING,
  };
}

/**
 * What rules see of a request, one context for each subject. Fields are copied by name from the table of actions, so a
 * caller's own `at`, `owner` or `__caslSubjectType__` goes nowhere. Without a subject all that is required is missing.
 */
export function contextsOf(request: EvaluationRequest): SubjectContext[] {
  if (!isAction(request.action)) throw new TypeError(`no action ${String(request.action)}`);
  if (Number.isNaN(request.at.getTime())) throw new TypeError('a request needs a time');
  const server = serverValues(request);
  if (request.subjects.length === 0) return [contextOf(request, {}, server)];
  return request.subjects.map((subject) => contextOf(request, subject, server.slice()));
}
