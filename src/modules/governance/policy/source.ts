import { isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument, visit, type YAMLMap } from 'yaml';
import { refuseYaml } from '../../../platform/yaml-limits.ts';
import { type DocumentIssue, MAX_DOCUMENT_BYTES } from './document.ts';

export type DocumentFormat = 'yaml' | 'json';

/** Keys and list positions from the document's top. */
export type DocumentPath = readonly (string | number)[];

interface Place {
  readonly line: number;
  readonly column: number;
}

export interface DocumentSource {
  readonly value: unknown;
  /** Where a part of the document, or its key, stands in the text; the nearest part around it if it is not there. */
  readonly placeOf: (path: DocumentPath, on: 'key' | 'value') => Place | null;
}

export type SourceResult =
  | { readonly ok: true; readonly source: DocumentSource }
  | { readonly ok: false; readonly errors: readonly DocumentIssue[] };

/** Of more errors than this nobody reads the rest. */
export const MAX_ERRORS = 100;

/** `rules[1].where.path.$glob`; a key that is not a plain name stands in brackets, as in `defaults["path.edit"]`. */
export function formatPath(path: DocumentPath): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      if (!/^[\w$-]+$/.test(part)) return `[${JSON.stringify(part)}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join('');
}

function failure(reason: string, place: Place | null = null): SourceResult {
  return { ok: false, errors: [{ line: place?.line ?? null, column: place?.column ?? null, path: '', reason }] };
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

/** The key and value under `part`; null where there is none. */
function childOf(node: Node | null, part: string | number): { key: Node | null; value: Node | null } | null {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
    return pair && isNode(pair.key) ? { key: pair.key, value: isNode(pair.value) ? pair.value : null } : null;
  }
  const item = isSeq(node) && typeof part === 'number' ? node.items[part] : null;
  return isNode(item) ? { key: null, value: item } : null;
}

function locate(contents: Node | null, lines: LineCounter, path: DocumentPath, on: 'key' | 'value'): Place | null {
  let found: { key: Node | null; value: Node | null } = { key: null, value: contents };
  for (const part of path) {
    const child = childOf(found.value, part);
    if (child === null) break;
    found = child;
  }
  const range = ((on === 'key' ? found.key : null) ?? found.value ?? found.key)?.range;
  return range ? placeAt(lines, range[0]) : null;
}

type ParsedYaml = ReturnType<typeof parseDocument>;

/** Keys that come twice. The parser's own check compares all pairs, and 20,000 keys took it ten seconds. */
function duplicateKeys({ items }: YAMLMap): Node[] {
  const seen = new Set<string>();
  return items.flatMap(({ key }) => {
    if (!isScalar(key)) return [];
    const name = String(key.value);
    if (seen.has(name)) return [key];
    seen.add(name);
    return [];
  });
}

/** What YAML has and a policy has not: every rule must read as it stands, and mean what JSON can say. */
function structureIssues(document: ParsedYaml, lines: LineCounter): DocumentIssue[] {
  const issues: DocumentIssue[] = [];
  const report = (node: unknown, reason: string): void => {
    const place = placeAt(lines, isNode(node) ? (node.range?.[0] ?? 0) : 0);
    issues.push({ ...place, path: '', reason });
  };
  visit(document, {
    Alias: (_, node) => report(node, 'aliases are refused: write it out'),
    Map: (_, map) => {
      for (const key of duplicateKeys(map)) report(key, 'this key is there twice');
    },
    Pair: (_, pair) => {
      if (!isScalar(pair.key)) report(pair.key, 'a key must be a plain text');
    },
  });
  return issues;
}

function parseYaml(text: string): { document: ParsedYaml; lines: LineCounter; problems: DocumentIssue[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, schema: 'core' });
  const problems = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    ...placeAt(lines, pos[0]),
    path: '',
    reason: message,
  }));
  return { document, lines, problems };
}

function readYaml(text: string): SourceResult {
  const { document, lines, problems } = parseYaml(text);
  const errors = problems.length > 0 ? problems : structureIssues(document, lines);
  if (errors.length > 0) return { ok: false, errors: errors.slice(0, MAX_ERRORS) };
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  return { ok: true, source: { value, placeOf: (path, on) => locate(document.contents, lines, path, on) } };
}

/** The engine says whether it is JSON; `yaml`, which reads JSON too, only tells where parts stand and what is double. */
function readJson(text: string): SourceResult {
  const { document, lines, problems } = parseYaml(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const [place] = problems;
    const reason = `is not JSON: ${error instanceof Error ? error.message : String(error)}`;
    return failure(reason, place?.line && place.column ? { line: place.line, column: place.column } : null);
  }
  // A key of a thousand characters, say. Refused, since nothing would then look for double keys.
  const errors = problems.length > 0 ? problems : structureIssues(document, lines);
  if (errors.length > 0) return { ok: false, errors: errors.slice(0, MAX_ERRORS) };
  return { ok: true, source: { value, placeOf: (path, on) => locate(document.contents, lines, path, on) } };
}

/** A thousand rules fit well; conditions nest, but nobody reads thirty levels of them. */
const LIMITS = { bytes: MAX_DOCUMENT_BYTES, tokens: 150_000, depth: 64 };

/** Reads a document's text into a plain value that knows where its parts stand. Duplicate keys and aliases are errors. */
export function readSource(text: string, format: DocumentFormat): SourceResult {
  const refused = refuseYaml(text, LIMITS);
  if (refused !== null) return failure(refused);
  try {
    return format === 'json' ? readJson(text) : readYaml(text);
  } catch (error) {
    // The parser's own limits, on nesting for one.
    return failure(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
