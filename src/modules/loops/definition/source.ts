import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, type Pair, parseDocument, visit } from 'yaml';
import { refuseYaml } from '../../../platform/yaml-limits.ts';
import { MAX_DEPTH } from './plain-value.ts';
import type { DefinitionError, SourcePath } from './report.ts';

/** A text as a value, with the line on which each part of it stands. */
export interface Source {
  value: unknown;
  lineOf: (at: SourcePath) => number | null;
}

export type SourceResult = { ok: true; source: Source } | { ok: false; errors: DefinitionError[] };

const LIMITS = { bytes: 256 * 1024, tokens: 12_000, depth: MAX_DEPTH };

/**
 * Reads one YAML 1.2 or JSON document. Refused: a text over the limits, several documents, duplicate keys, keys that
 * are no strings, unknown tags, and aliases that multiply.
 */
export function readSource(text: string, format: 'yaml' | 'json'): SourceResult {
  const refusal = refuseYaml(text, LIMITS);
  if (refusal !== null) return refused([{ path: '', line: null, reason: refusal }]);
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    merge: format === 'yaml',
    resolveKnownTags: false,
    prettyErrors: false,
    // 'silent' would also leave out the error about several documents.
    logLevel: 'error',
  });
  const found = format === 'yaml' ? yamlErrors(document, lines) : duplicateKeys(document, lines);
  if (found.length > 0) return refused(found);
  return valueOf(text, format, document, lines);
}

function valueOf(text: string, format: 'yaml' | 'json', document: Document, lines: LineCounter): SourceResult {
  const lineOf = (at: SourcePath): number | null => lineAt(document, lines, at);
  try {
    const value: unknown = format === 'yaml' ? document.toJS({ maxAliasCount: 100 }) : JSON.parse(text);
    return { ok: true, source: { value, lineOf } };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const line = document.errors[0] ? lines.linePos(document.errors[0].pos[0]).line : null;
    return refused([{ path: '', line, reason }]);
  }
}

function refused(errors: DefinitionError[]): SourceResult {
  return { ok: false, errors };
}

function yamlErrors(document: Document, lines: LineCounter): DefinitionError[] {
  const syntax = [...document.errors, ...document.warnings].map((problem) => ({
    path: '',
    line: lines.linePos(problem.pos[0]).line,
    reason:
      problem.code === 'MULTIPLE_DOCS' ? 'holds more than one document; register each on its own' : problem.message,
  }));
  if (syntax.length > 0) return syntax.slice(0, 20);
  const errors: DefinitionError[] = [];
  visit(document, {
    Pair: (_, pair) => {
      if (!hasTextKey(pair)) errors.push({ path: '', line: lineOfNode(pair.key, lines), reason: KEY_REASON });
    },
  });
  return errors.slice(0, 20);
}

const KEY_REASON = 'has a key that is no string; quote it';

/** A merge key (`<<`) is a symbol to the parser. */
function hasTextKey(pair: Pair): boolean {
  return isScalar(pair.key) && (typeof pair.key.value === 'string' || typeof pair.key.value === 'symbol');
}

/** `JSON.parse` keeps the last of two equal keys in silence, so the YAML parser looks for them. */
function duplicateKeys(document: Document, lines: LineCounter): DefinitionError[] {
  return document.errors
    .filter((error) => error.code === 'DUPLICATE_KEY')
    .map((error) => ({ path: '', line: lines.linePos(error.pos[0]).line, reason: 'has the same key twice' }));
}

function lineOfNode(node: unknown, lines: LineCounter): number | null {
  return isNode(node) && node.range ? lines.linePos(node.range[0]).line : null;
}

/** The line of the innermost part of the path that the document has: a merged or aliased part stands elsewhere. */
function lineAt(document: Document, lines: LineCounter, at: SourcePath): number | null {
  let node: unknown = document.contents;
  let line = lineOfNode(node, lines);
  for (const segment of at) {
    let anchor: unknown;
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find((item) => isScalar(item.key) && item.key.value === segment);
      anchor = pair?.key;
      node = pair?.value;
    } else if (isSeq(node) && typeof segment === 'number') {
      anchor = node = node.items[segment];
    } else {
      break;
    }
    line = lineOfNode(anchor, lines) ?? line;
  }
  return line;
}
