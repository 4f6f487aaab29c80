/** DESIGN.md's direction, lowest first: a unit may import those of lower tiers, never its siblings in the same tier. */
const TIERS: readonly (readonly string[])[] = [
  ['platform', 'patterns'],
  ['identity'],
  ['activity'],
  ['governance', 'budgets'],
  ['loops'],
  ['leases', 'changes', 'traces'],
  ['admission', 'incidents'],
  ['adapters'],
  ['app'],
  ['main'],
];

/** The order as one line, for messages. */
export const DIRECTION = TIERS.map((tier) => (tier.length === 1 ? tier[0] : `{${tier.join(', ')}}`)).join(' <- ');

/** Where a file belongs: a layer, and within `platform` and `adapters` the folder that may hide behind an index.ts. */
export interface Place {
  readonly layer: string;
  readonly tier: number;
  /** The folder whose `index.ts` is the only way in, if it is one: `src/modules/leases`, `src/platform/http`. */
  readonly unit: string;
}

/** What a process is started with: they wire nothing, and reach into `src/main` as its own files do. */
const ENTRIES: ReadonlySet<string> = new Set(['src/main.ts', 'src/cli.ts']);

const LAYER_FOLDERS: ReadonlySet<string> = new Set(['platform', 'patterns', 'adapters']);

/** The place of a file under `src/`, or undefined if no layer of the design owns it. `src/generated` has none of its own. */
export function placeOf(file: string): Place | undefined {
  const [src, top = '', second = '', third] = file.split('/');
  if (src !== 'src') return undefined;
  if (top === 'main' || ENTRIES.has(file)) return place('main', 'src/main');
  if (second === '') return top === 'app.ts' ? place('app', file) : undefined;
  if (top === 'modules') return third === undefined ? undefined : place(second, `src/modules/${second}`);
  if (!LAYER_FOLDERS.has(top)) return undefined;
  const isOwnFolder = top !== 'patterns' && third !== undefined;
  return place(top, isOwnFolder ? `src/${top}/${second}` : `src/${top}`);
}

function place(layer: string, unit: string): Place | undefined {
  const tier = TIERS.findIndex((names) => names.includes(layer));
  return tier === -1 ? undefined : { layer, tier, unit };
}

/** Database code: the only code that sees what Prisma generated, so that a route or a pure function never depends on it. */
export function mayImportGenerated(file: string): boolean {
  if (file.startsWith('src/platform/')) return true;
  return (
    file.startsWith('src/modules/') &&
    !/(^|[/-])(routes|index|schemas?)(\.ts$|\/)/.test(file.slice('src/modules/'.length))
  );
}
