import { posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

export interface Import {
  readonly file: string;
  readonly line: number;
  /** As written. */
  readonly specifier: string;
  /** The file it names, from the repository's root; undefined for packages, and for other files than TypeScript's. */
  readonly target: string | undefined;
}

/**
 * Every import of a source file: static, re-exporting, dynamic, of types or of values.
 * @throws if the file does not parse, as a file that cannot be read must not pass for one without imports.
 */
export function importsOf(file: string, source: string): Import[] {
  const { program, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file} does not parse: ${errors[0]?.message}`);
  const found: Import[] = [];
  const note = (literal: { value: unknown; start: number } | null) => {
    if (typeof literal?.value !== 'string') return;
    const line = source.slice(0, literal.start).split('\n').length;
    found.push({ file, line, specifier: literal.value, target: resolve(file, literal.value) });
  };
  new Visitor({
    ImportDeclaration: (node) => note(node.source),
    ExportNamedDeclaration: (node) => note(node.source),
    ExportAllDeclaration: (node) => note(node.source),
    TSImportType: (node) => note(node.source),
    ImportExpression: (node) => note(node.source.type === 'Literal' ? node.source : null),
  }).visit(program);
  return found;
}

function resolve(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = posix.normalize(posix.join(posix.dirname(file), specifier));
  return /\.[cm]?tsx?$/.test(target) ? target : undefined;
}
