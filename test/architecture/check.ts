import { findCycles } from './cycles.ts';
import { type Import, importsOf } from './imports.ts';
import { DIRECTION, mayImportGenerated, type Place, placeOf } from './layers.ts';

/** Files of 50 to 300 lines are the aim; beyond this the build stops. */
const MOST_LINES = 350;

const isGenerated = (file: string) => file.startsWith('src/generated/');

/**
 * Holds a source tree against the design.
 * @param files path from the repository's root (`src/…`) to source text.
 * @returns one line for each violation, starting with `file:line:`; empty if the tree is as designed.
 */
export function checkArchitecture(files: ReadonlyMap<string, string>): string[] {
  const own = [...files].filter(([file]) => !isGenerated(file));
  const imports = own.flatMap(([file, source]) => importsOf(file, source));
  return [
    ...own.flatMap(([file, source]) => checkFile(file, source)),
    ...imports.flatMap((found) => checkImport(found, files)),
    ...cycles(imports),
  ];
}

function checkFile(file: string, source: string): string[] {
  const violations: string[] = [];
  if (placeOf(file) === undefined) violations.push(`${file}:1: belongs to no layer of the design (${DIRECTION})`);
  const lines = source.replace(/\n$/, '').split('\n').length;
  if (lines > MOST_LINES)
    violations.push(`${file}:${MOST_LINES + 1}: has ${lines} lines, more than ${MOST_LINES}: split it`);
  return violations;
}

function checkImport(found: Import, files: ReadonlyMap<string, string>): string[] {
  const { file, line, specifier, target } = found;
  if (target === undefined) return [];
  const complain = (why: string) => [`${file}:${line}: imports ${specifier}: ${why}`];
  if (!target.startsWith('src/')) return complain('it is outside src');
  if (!files.has(target)) return complain('there is no such file');
  if (isGenerated(target)) {
    return mayImportGenerated(file)
      ? []
      : complain('generated code is only for platform and for database code of modules');
  }
  const from = placeOf(file);
  const to = placeOf(target);
  if (from === undefined || to === undefined) return [];
  if (from.layer !== to.layer && from.tier <= to.tier) {
    return complain(`${from.layer} may not import ${to.layer} (${DIRECTION})`);
  }
  return isDeep(from, to, target, files)
    ? complain(`from outside, ${to.unit} is imported through its index.ts only`)
    : [];
}

/** Platform's own folders need no index.ts, but where there is one it is the door; modules and patterns always have one. */
function isDeep(from: Place, to: Place, target: string, files: ReadonlyMap<string, string>): boolean {
  if (from.unit === to.unit || target === `${to.unit}/index.ts` || target === to.unit) return false;
  const mayBeOpen = to.layer === 'platform' || to.layer === 'adapters';
  return !mayBeOpen || files.has(`${to.unit}/index.ts`);
}

function cycles(imports: readonly Import[]): string[] {
  const graph = new Map<string, string[]>();
  for (const { file, target } of imports) {
    if (target === undefined || isGenerated(target)) continue;
    graph.set(file, [...(graph.get(file) ?? []), target]);
  }
  return findCycles(graph).map((cycle) => {
    const [first = ''] = cycle;
    const second = cycle[1] ?? first;
    const edge = imports.find(({ file, target }) => file === first && target === second);
    return `${first}:${edge?.line}: import cycle: ${[...cycle, first].join(' -> ')}`;
  });
}
