import { fieldsIn, listIn } from './json-fields.ts';
import { FRAMES, itemGroups } from './json-sections.ts';
import { BYTES, ProtoReader } from './proto-reader.ts';

/** Metric's fields that hold a kind of data: gauge, sum, histogram, exponential histogram, summary; each has its points as field 1. */
const KINDS: ReadonlySet<number> = new Set([5, 7, 9, 10, 11]);
const JSON_KINDS = ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'];

/** How many data points an ExportMetricsServiceRequest holds. @throws Malformed */
export function countProtoPoints(body: Buffer): number {
  const reader = new ProtoReader(body);
  // resource_metrics 1 → scope_metrics 2 → metrics 2 → kind → data_points 1
  return countBelow(reader, [1, 2, 2, 'kind', 1], 0);
}

function countBelow(reader: ProtoReader, path: readonly (number | 'kind')[], depth: number): number {
  const wanted = path[depth]!;
  let count = 0;
  while (reader.next()) {
    const isIt = reader.wire === BYTES && (wanted === 'kind' ? KINDS.has(reader.field) : reader.field === wanted);
    if (!isIt) {
      reader.skip();
    } else if (depth === path.length - 1) {
      reader.skip();
      count += 1;
    } else {
      const outer = reader.enter();
      count += countBelow(reader, path, depth + 1);
      reader.leave(outer);
    }
  }
  return count;
}

/** The same of a request in JSON. @throws Malformed */
export function countJsonPoints(request: unknown): number {
  let count = 0;
  for (const { items } of itemGroups(request, FRAMES.metrics)) {
    for (const item of items) {
      const metric = fieldsIn(item, 'a metric');
      for (const kind of JSON_KINDS)
        count += listIn(fieldsIn(metric[kind], kind)['dataPoints'], `${kind}.dataPoints`).length;
    }
  }
  return count;
}

/** How many items of another signal a JSON request holds: names that are not known are ignored, but these are known, and dropping them without a word would lose them. */
export function countForeign(request: unknown, signal: keyof typeof FRAMES): number {
  const others = Object.entries(FRAMES).filter(([name]) => name !== signal);
  return others.reduce(
    (sum, [, names]) => sum + itemGroups(request, names).reduce((count, { items }) => count + items.length, 0),
    0,
  );
}
