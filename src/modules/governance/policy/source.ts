import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, visit } from 'yaml';
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

const MAX_ERRORS = 100;

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

function locate(contents: unknown, lines: LineCounter, path: DocumentPath, on: 'key' | 'value'): Place | null {
  let node = contents as Node | null;
  let key: Node | null = null;
  for (const part of path) {
    const items: unknown[] = isMap(node) || isSeq(node) ? node.items : [];
    if (isMap(node)) {
      const pair = (items as Pair<Node, Node | null>[]).find(({ key: k }) => isScalar(k) && String(k.value) === part);
      if (!pair) break;
      [key, node] = [pair.key, pair.value];
    } else {
      const item = typeof part === 'number' ? items[part] : undefined;
      if (item === undefined) break;
      [key, node] = [null, item as Node];
    }
  }
  const range = ((on === 'key' ? key : null) ?? node ?? key)?.range;
  return range ? placeAt(lines, range[0]) : null;
}

/** JSON is checked by the engine; `yaml` then only tells where its parts stand, and finds duplicate keys. */
function parseJson(text: string): { ok: true; value: unknown } | { ok: false; reason: string; offset: number } {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const offset = /at position (\d+)/.exec(message)?.[1];
    return { ok: false, reason: `is not JSON: ${message}`, offset: offset ? Number(offset) : text.length };
  }
}

type ParsedYaml = ReturnType<typeof parseDocument>;

/** What YAML has and a policy has not: every rule must read as it stands, and mean what JSON can say. */
function foreignToJson(document: ParsedYaml, lines: LineCounter): DocumentIssue[] {
  const issues: DocumentIssue[] = [];
  const report = (node: unknown, reason: string): void => {
    const place = placeAt(lines, (node as Node | null)?.range?.[0] ?? 0);
    issues.push({ ...place, path: '', reason });
  };
  visit(document, {
    Alias: (_, node) => report(node, 'aliases are refused: write it out'),
    Pair: (_, pair) => {
      if (!isScalar(pair.key) || isAlias(pair.key)) report(pair.key, 'a key must be a plain text');
    },
  });
  return issues;
}

function readYaml(text: string, format: DocumentFormat): SourceResult {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, schema: 'core' });
  const problems = [...document.errors, ...document.warnings];
  const relevant = format === 'yaml' ? problems : problems.filter((problem) => problem.code === 'DUPLICATE_KEY');
  const errors: DocumentIssue[] = relevant.map(({ message, pos }) => ({
    ...placeAt(lines, pos[0]),
    path: '',
    reason: message,
  }));
  if (errors.length === 0 && format === 'yaml') errors.push(...foreignToJson(document, lines));
  if (errors.length > 0) return { ok: false, errors: errors.slice(0, MAX_ERRORS) };
  const value: unknown = format === 'yaml' ? document.toJS({ maxAliasCount: 0 }) : JSON.parse(text);
  return { ok: true, source: { value, placeOf: (path, on) => locate(document.contents, lines, path, on) } };
}

/** Reads a document's text into a plain value that knows where its parts stand. Duplicate keys and aliases are errors. */
export function readSource(text: string, format: DocumentFormat): SourceResult {
  if (Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) return failure(`is larger than ${MAX_DOCUMENT_BYTES} bytes`);
  if (format === 'json') {
    const json = parseJson(text);
    if (!json.ok) {
      const before = text.slice(0, json.offset).split('\n');
      return failure(json.reason, { line: before.length, column: (before.at(-1) ?? '').length + 1 });
    }
  }
  try {
    return readYaml(text, format);
  } catch (error) {
    // The parser's own limits, on nesting for one.
    return failure(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
