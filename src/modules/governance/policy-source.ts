import { isMap, isNode, parseDocument } from 'yaml';
import { invalid, type Problem } from '../../platform/errors.ts';
import type { DocumentIssue, PolicyDocument } from './policy/index.ts';
import { parsePolicyDocument } from './policy/index.ts';
import { type DocumentFormat, type DocumentPath, formatPath, MAX_ERRORS, readSource } from './policy/source.ts';

export interface PolicySource {
  readonly text: string;
  readonly format: DocumentFormat;
}

export interface ReadPolicy {
  /** Its name is the policy's, also when the text names none. */
  readonly document: PolicyDocument;
  readonly warnings: readonly DocumentIssue[];
  /** An issue at a part of the document, with its place in the text as it was sent. */
  readonly issueAt: (path: DocumentPath, reason: string) => DocumentIssue;
}

/**
 * Reads the text of the policy `name`. The document may leave its name out, since the path says it, but not say another.
 * @throws Problem 422 `policy_invalid` with one entry per mistake, in the order of the text
 */
export function readPolicy(name: string, source: PolicySource): ReadPolicy {
  const nul = source.text.indexOf('\0');
  if (nul >= 0) throw policyInvalid([{ ...placeAt(source.text, nul), path: '', reason: 'holds a NUL character' }]);
  const read = readSource(source.text, source.format);
  if (!read.ok) throw policyInvalid(read.errors);
  const { value, placeOf } = read.source;
  const issueAt = (path: DocumentPath, reason: string): DocumentIssue => {
    const place = placeOf(path, 'value');
    return { line: place?.line ?? null, column: place?.column ?? null, path: formatPath(path), reason };
  };

  const { parsed, toSent } = parseNamed(name, source, isObject(value) && !Object.hasOwn(value, 'name'));
  const errors = parsed.ok ? [] : parsed.errors.map(toSent);
  const said = isObject(value) ? value['name'] : undefined;
  if (typeof said === 'string' && said !== name) errors.push(issueAt(['name'], `is not ${name}, as the path has it`));
  for (const path of unstorable(value)) errors.push(issueAt(path, 'holds NUL or a lone surrogate'));
  if (!parsed.ok || errors.length > 0) throw policyInvalid(errors);
  return { document: parsed.document, warnings: parsed.warnings.map(toSent), issueAt };
}

/** 422 with the document's mistakes; the first one is also its sentence. */
export function policyInvalid(errors: readonly DocumentIssue[]): Problem {
  const [first] = errors;
  const where = first === undefined || first.line === null ? '' : `line ${first.line}: `;
  const what = first === undefined ? 'The document is invalid.' : `${first.path} ${first.reason}`.trim();
  return invalid('policy_invalid', where + what, errors.slice(0, MAX_ERRORS));
}

type Parsed = ReturnType<typeof parsePolicyDocument>;
type MapIssue = (issue: DocumentIssue) => DocumentIssue;

const asItIs: MapIssue = (issue) => issue;

function parseNamed(name: string, source: PolicySource, lacksName: boolean): { parsed: Parsed; toSent: MapIssue } {
  const named = lacksName ? insertName(name, source) : null;
  // An insertion that breaks the syntax (of a document with explicit `?` keys, say): then the name has to be written.
  if (named === null || !readSource(named.text, source.format).ok)
    return { parsed: parsePolicyDocument(source.text, source.format), toSent: asItIs };
  return { parsed: parsePolicyDocument(named.text, source.format), toSent: named.toSent };
}

/** The text with the name put before its first key, and the way back from places in it to places in the text sent. */
function insertName(name: string, { text }: PolicySource): { text: string; toSent: MapIssue } | null {
  const { contents } = parseDocument(text, { prettyErrors: false, uniqueKeys: false, schema: 'core' });
  if (!isMap(contents) || !contents.range) return null;
  const first = contents.items[0]?.key;
  const offset = isNode(first) && first.range ? first.range[0] : contents.flow ? contents.range[0] + 1 : null;
  if (offset === null) return null;
  const at = placeAt(text, offset);
  const inserted = (addition: string) => text.slice(0, offset) + addition + text.slice(offset);
  if (contents.flow) {
    const addition = `"name": "${name}"${first === undefined ? '' : ', '}`;
    return { text: inserted(addition), toSent: (issue) => movedBack(issue, at, addition.length) };
  }
  const addition = `name: "${name}"\n${' '.repeat(at.column - 1)}`;
  return {
    text: inserted(addition),
    toSent: (issue) => (issue.line === null || issue.line <= at.line ? issue : { ...issue, line: issue.line - 1 }),
  };
}

function movedBack(issue: DocumentIssue, at: { line: number; column: number }, length: number): DocumentIssue {
  if (issue.line !== at.line || issue.column === null || issue.column < at.column) return issue;
  return { ...issue, column: Math.max(at.column, issue.column - length) };
}

function placeAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Escapes may name characters that PostgreSQL cannot hold; refused here, they are not a failed transaction there. */
function* unstorable(value: unknown, path: DocumentPath = []): Generator<DocumentPath> {
  if (typeof value === 'string') {
    if (!value.isWellFormed() || value.includes('\0')) yield path;
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    const here = [...path, Array.isArray(value) ? Number(key) : key];
    if (!key.isWellFormed() || key.includes('\0')) yield here;
    yield* unstorable(member, here);
  }
}
