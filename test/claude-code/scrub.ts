import type { Shop } from './shop.ts';

/** Values that differ from run to run and mean nothing to a reader of a fixture. */
const MEASURED: Readonly<Record<string, number>> = {
  duration_ms: 12,
  seconds_since_last_response: 0,
  context_tokens: 15,
  estimated_cache_write_usd: 0.0001,
};

/**
 * Makes captured payloads neutral and repeatable: this machine's folders become those of a developer, every generated id
 * is numbered by its first appearance, measured values are fixed. Ids that were equal stay equal, across one scrubber.
 */
export function scrubber(shop: Shop, home: string): (value: unknown) => unknown {
  const uuids = numbering((index) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`);
  const agents = numbering((index) => `a${String(index).padStart(16, '0')}`);
  const shells = numbering((index) => `b${String(index).padStart(8, '0')}`);
  const crons = numbering((index) => String(index).padStart(8, '0'));
  const places: readonly (readonly [string, string])[] = [
    [home, '/home/dev'],
    [shop.base, '/home/dev'],
    [encoded(shop.base), encoded('/home/dev')],
  ];
  return (value) => {
    const text = places.reduce((result, [from, to]) => result.replaceAll(from, to), JSON.stringify(value));
    const numbered = text
      .replace(/\/tmp\/claude-\d+\//g, '/tmp/claude-1000/')
      .replace(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, uuids)
      .replace(/\ba[0-9a-f]{16}\b/g, agents)
      .replace(/\bb[0-9a-z]{8}\b(?=[".<])/g, shells)
      .replace(/(?<="id":")[0-9a-f]{8}(?=")/g, crons)
      .replace(/(?<="schedule":")\d+ \d+ (?=\* \* \*")/g, '26 16 ');
    return JSON.parse(numbered, (key, inner: unknown) =>
      typeof inner === 'number' ? (MEASURED[key] ?? inner) : inner,
    );
  };
}

/** How Claude Code names a project's folder below `~/.claude/projects`. */
function encoded(path: string): string {
  return path.replaceAll(/[^a-zA-Z0-9]/g, '-');
}

function numbering(format: (index: number) => string): (id: string) => string {
  const seen = new Map<string, string>();
  return (id) => {
    const known = seen.get(id) ?? format(seen.size + 1);
    seen.set(id, known);
    return known;
  };
}
