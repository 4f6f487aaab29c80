/** What one request, span or log record may hold. A request over its limits is refused; what is over an item's is cut, and the cut is recorded. */
export const LIMITS = {
  /** Of a request, after decompression. */
  bodyBytes: 64 * 1024 * 1024,
  /** Bytes of requests under way per org on this server, after decompression; more is 429. */
  orgBytes: 160 * 1024 * 1024,
  serverBytes: 512 * 1024 * 1024,
  /** Spans or log records in one request. */
  items: 20_000,
  /** Of a span, of each of its events and links, of a resource, of a scope. */
  attributes: 256,
  events: 128,
  links: 128,
  /** UTF-16 units. */
  name: 1024,
  key: 256,
  value: 64 * 1024,
  /** JSON text of all attributes, events and links of one item, in UTF-16 units. */
  item: 256 * 1024,
  /** The same of a resource or a scope, which every one of its spans repeats. */
  shared: 16 * 1024,
  /** What a request's rows may come to, in UTF-16 units. */
  rows: 128 * 1024 * 1024,
  /** How deep values nest. */
  depth: 16,
  /** Spans that start further back than this were partitions that retention has dropped. */
  pastDays: 90,
  futureDays: 1,
} as const;
