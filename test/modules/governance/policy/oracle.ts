/**
 * What a document means, read straight from its JSON: no parser, no compiler, no index. Slow, and shares no code with
 * the evaluator it checks. Knows only the part of the language that generators.ts writes.
 */
export type Json = Record<string, unknown>;

export interface Asked {
  readonly action: string;
  readonly subject: Json;
  /** The server's fields by name; absent ones undefined. */
  readonly server: Json;
  readonly at: Date;
  readonly caseSensitive: boolean;
}

const REQUIRED: Record<string, string[]> = {
  'path.edit': ['repo', 'path'],
  'path.delete': ['repo', 'path'],
  deploy: ['repo', 'service', 'environment'],
  push: ['repo', 'branch', 'remote'],
  'budget.spend': ['usd'],
};

export function missingFields({ action, subject }: Asked): string[] {
  return (REQUIRED[action] ?? []).filter((field) => subject[field] === undefined);
}

function expandBraces(glob: string): string[] {
  const match = /^(.*?)\{([^{}]*)\}(.*)$/.exec(glob);
  if (!match) return [glob];
  const [, before = '', inside = '', after = ''] = match;
  return inside.split(',').flatMap((option) => expandBraces(`${before}${option}${after}`));
}

const literal = (text: string): string => text.replaceAll(/[.+^$()|[\]\\]/g, '\\$&');
const wild = (segment: string, any: string): string =>
  segment
    .split('')
    .map((c) => (c === '*' ? `${any}*` : c === '?' ? any : literal(c)))
    .join('');

function pathMatches(glob: string, path: string, caseSensitive: boolean): boolean {
  return expandBraces(glob).some((pattern) => {
    const segments = (pattern.endsWith('/') ? `${pattern}**` : pattern).split('/');
    const source = segments.map((segment, i) => {
      const last = i === segments.length - 1;
      if (segment === '**') return last ? '[^/]+(/[^/]+)*' : '([^/]+/)*';
      return wild(segment, '[^/]') + (last ? '' : '/');
    });
    return new RegExp(`^${source.join('')}$`, caseSensitive ? 'u' : 'iu').test(path);
  });
}

const DAY_NAMES = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

function inWindow(window: Json, at: Date): boolean {
  const local = new Date(`${at.toLocaleString('sv-SE', { timeZone: String(window['timeZone']) }).replace(' ', 'T')}Z`);
  const time = local.toISOString().slice(11, 16);
  const [from = '', to = ''] = ((window['hours'] as string | undefined) ?? '00:00-24:00').split('-');
  const days = (window['days'] as string[] | undefined) ?? DAY_NAMES;
  const today = days.includes(DAY_NAMES[local.getUTCDay()] ?? '');
  const yesterday = days.includes(DAY_NAMES[(local.getUTCDay() + 6) % 7] ?? '');
  if (from < to) return today && from <= time && time < to;
  return (today && time >= from) || (yesterday && time < to);
}

function valueOf(field: string, asked: Asked): unknown {
  return field in asked.server ? asked.server[field] : asked.subject[field];
}

function same(field: string, value: unknown, operand: unknown, caseSensitive: boolean): boolean {
  if (Array.isArray(value)) return value.includes(operand);
  if (field === 'path' && !caseSensitive) return new RegExp(`^${literal(String(operand))}$`, 'iu').test(String(value));
  return value === operand;
}

/** `negations` says how often the comparison is turned round, from the rule down to it. */
type Sense = { negations: number; restricts: boolean };
const flip = (sense: Sense): Sense => ({ ...sense, negations: sense.negations + 1 });

const OPPOSITE: Record<string, string> = { $ne: '$eq', $nin: '$in', $outside: '$within' };

function operatorHolds(operator: string, field: string, operand: unknown, asked: Asked, sense: Sense): boolean {
  const value = valueOf(field, asked);
  if (operator === '$exists') {
    const exists = Array.isArray(value) ? value.length > 0 : field === 'at' || value !== undefined;
    return exists === operand;
  }
  const opposite = OPPOSITE[operator];
  if (opposite) return !operatorHolds(opposite, field, operand, asked, flip(sense));
  if (operator === '$within') return inWindow(operand as Json, asked.at);
  // So that after all negations a restriction holds and an allowance does not.
  if (value === undefined) return sense.negations % 2 === 1 && !sense.restricts;
  const eq = (candidate: unknown) => same(field, value, candidate, asked.caseSensitive);
  const number = value as number;
  const limit = operand as number;
  if (operator === '$eq') return eq(operand);
  if (operator === '$in') return (operand as unknown[]).some(eq);
  if (operator === '$lt') return number < limit;
  if (operator === '$lte') return number <= limit;
  if (operator === '$gt') return number > limit;
  if (operator === '$gte') return number >= limit;
  if (operator === '$glob' && field === 'path')
    return pathMatches(operand as string, value as string, asked.caseSensitive);
  if (operator === '$glob') {
    const expression = new RegExp(`^${wild(String(operand), '[^]')}$`, 'u');
    return [value].flat().some((text) => expression.test(text as string));
  }
  throw new Error(operator);
}

function fieldHolds(field: string, condition: unknown, asked: Asked, sense: Sense): boolean {
  if (typeof condition !== 'object' || condition === null) return operatorHolds('$eq', field, condition, asked, sense);
  return Object.entries(condition).every(([key, operand]) => {
    const inner = (part: unknown) => fieldHolds(field, part, asked, sense);
    if (key === '$and') return (operand as unknown[]).every(inner);
    if (key === '$or') return (operand as unknown[]).some(inner);
    if (key === '$not') return !fieldHolds(field, operand, asked, flip(sense));
    return operatorHolds(key, field, operand, asked, sense);
  });
}

function whereHolds(where: Json, asked: Asked, sense: Sense): boolean {
  return Object.entries(where).every(([key, value]) => {
    if (key === '$and') return (value as Json[]).every((part) => whereHolds(part, asked, sense));
    if (key === '$or') return (value as Json[]).some((part) => whereHolds(part, asked, sense));
    if (key === '$not') return !whereHolds(value as Json, asked, flip(sense));
    return fieldHolds(key, value, asked, sense);
  });
}

export function ruleMatches(rule: Json, asked: Asked): boolean {
  if (!(rule['actions'] as string[]).includes(asked.action)) return false;
  return whereHolds((rule['where'] as Json | undefined) ?? {}, asked, {
    negations: 0,
    restricts: rule['effect'] !== 'allow',
  });
}
