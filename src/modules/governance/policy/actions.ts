/**
 * The closed list of what may be asked, and the type of every field that a rule may look at.
 * A new action is one line here; parsing, evaluation and error messages follow from it.
 */

/**
 * How a field's values are written and compared.
 * - `text`: a non-empty string, compared as it stands
 * - `path`: a repo-relative path, compared as the repo compares it (case)
 * - `command`: text in which a run of white space counts as one space
 * - `number`: finite and not negative
 * - `list`: texts; `$eq`, `$in` and `$glob` ask whether one of them is meant
 * - `instant`: a point in time; in a document RFC 3339 text or a time window
 */
export type FieldType = 'text' | 'path' | 'command' | 'number' | 'boolean' | 'list' | 'instant';

/** The fields of one action's subject, by name. `repo` is always the name as the registry spells it. */
interface ActionDefinition {
  readonly required: Readonly<Record<string, FieldType>>;
  readonly optional: Readonly<Record<string, FieldType>>;
}

export const ACTIONS = {
  'path.edit': { required: { repo: 'text', path: 'path' }, optional: {} },
  'path.delete': { required: { repo: 'text', path: 'path' }, optional: {} },
  'command.run': { required: { repo: 'text', command: 'command' }, optional: { flags: 'list' } },
  'tool.use': { required: { repo: 'text', tool: 'text' }, optional: {} },
  commit: { required: { repo: 'text' }, optional: { branch: 'text' } },
  push: { required: { repo: 'text', branch: 'text', remote: 'text' }, optional: { force: 'boolean' } },
  merge: { required: { repo: 'text', branch: 'text' }, optional: {} },
  deploy: { required: { repo: 'text', service: 'text', environment: 'text' }, optional: {} },
  'budget.spend': { required: { usd: 'number' }, optional: {} },
} as const satisfies Record<string, ActionDefinition>;

export type ActionName = keyof typeof ACTIONS;

export const ACTION_NAMES = Object.keys(ACTIONS) as readonly ActionName[];

export function isAction(name: unknown): name is ActionName {
  return typeof name === 'string' && Object.hasOwn(ACTIONS, name);
}

/** One field of a rule's `where`. `absent`: a request may lack it, so that a comparison may find nothing. */
export interface FieldDefinition {
  readonly type: FieldType;
  readonly absent: boolean;
  /** The only values there are, where the list is closed. */
  readonly values?: readonly string[];
}

/** What the server adds to every request; a caller's subject never sets one of these. */
const SERVER_FIELDS = {
  principal: { type: 'text', absent: false },
  role: { type: 'text', absent: false, values: ['admin', 'member', 'loop', 'sre', 'viewer'] },
  team: { type: 'list', absent: false },
  owner: { type: 'text', absent: true },
  'loop.id': { type: 'text', absent: true },
  'loop.name': { type: 'text', absent: true },
  'loop.labels': { type: 'list', absent: true },
  'run.id': { type: 'text', absent: true },
  'run.iteration': { type: 'number', absent: true },
  'run.status': { type: 'text', absent: true, values: ['running', 'stalled', 'finished'] },
  at: { type: 'instant', absent: false },
} as const satisfies Record<string, FieldDefinition>;

function fieldsOfAction(action: ActionName): ReadonlyMap<string, FieldDefinition> {
  const { required, optional }: ActionDefinition = ACTIONS[action];
  return new Map<string, FieldDefinition>([
    ...Object.entries(required).map(([name, type]): [string, FieldDefinition] => [name, { type, absent: false }]),
    ...Object.entries(optional).map(([name, type]): [string, FieldDefinition] => [name, { type, absent: true }]),
    ...Object.entries(SERVER_FIELDS),
  ]);
}

const FIELDS_BY_ACTION: ReadonlyMap<ActionName, ReadonlyMap<string, FieldDefinition>> = new Map(
  ACTION_NAMES.map((action) => [action, fieldsOfAction(action)]),
);

/** Every field that a rule about `action` may look at: the subject's own and the server's. */
function fieldsOf(action: ActionName): ReadonlyMap<string, FieldDefinition> {
  return FIELDS_BY_ACTION.get(action) ?? new Map();
}

/**
 * The fields that a rule about all of `actions` may look at. A field that one of them lacks is left out: the rule
 * could never match that action, and nobody would notice.
 */
export function fieldsOfAll(actions: readonly ActionName[]): ReadonlyMap<string, FieldDefinition> {
  const [first, ...others] = actions.map(fieldsOf);
  const shared = new Map<string, FieldDefinition>();
  for (const [name, field] of first ?? []) {
    const same = others.map((fields) => fields.get(name));
    if (same.every((other) => other?.type === field.type)) {
      shared.set(name, { ...field, absent: field.absent || same.some((other) => other?.absent) });
    }
  }
  return shared;
}

/** A field of a subject and where its value stands in a request's context. */
export interface SubjectField {
  readonly name: string;
  readonly type: FieldType;
  readonly required: boolean;
  readonly slot: number;
}

const SLOTS: ReadonlyMap<string, number> = new Map(
  [...new Set([...Object.keys(SERVER_FIELDS), ...ACTION_NAMES.flatMap((action) => [...fieldsOf(action).keys()])])].map(
    (name, slot) => [name, slot],
  ),
);

/** Number of fields there are in all: a context is an array of that many values. */
export const SLOT_COUNT = SLOTS.size;

/** Where a field's value stands in a context. An array of known places is read several times faster than a map. */
export function slotOf(field: string): number {
  const slot = SLOTS.get(field);
  if (slot === undefined) throw new Error(`no field ${field}`);
  return slot;
}

function subjectFields(action: ActionName): SubjectField[] {
  const { required, optional }: ActionDefinition = ACTIONS[action];
  const fieldOf = (needed: boolean) => {
    return ([name, type]: [string, FieldType]) => ({ name, type, required: needed, slot: slotOf(name) });
  };
  return [...Object.entries(required).map(fieldOf(true)), ...Object.entries(optional).map(fieldOf(false))];
}

/** The fields that a caller sets, of each action. */
export const SUBJECT_FIELDS: ReadonlyMap<ActionName, readonly SubjectField[]> = new Map(
  ACTION_NAMES.map((action) => [action, subjectFields(action)]),
);
