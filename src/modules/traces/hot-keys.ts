import { storable } from './storable.ts';

/** What a column of its own is kept for, beside the raw attributes. */
export type HotField =
  | 'service'
  | 'loopId'
  | 'runId'
  | 'sessionId'
  | 'model'
  | 'inputTokens'
  | 'outputTokens'
  | 'eventName';

/**
 * Version 1 of the names under which agents tell the same thing; the first in a list wins. The attributes are kept as
 * they came, so a later version of this table can be applied to what is stored.
 */
const ALIASES: Readonly<Record<HotField, readonly string[]>> = {
  service: ['service.name'],
  loopId: ['loop.id'],
  runId: ['run.id'],
  sessionId: ['session.id', 'conversation.id', 'gen_ai.conversation.id'],
  model: ['gen_ai.response.model', 'gen_ai.request.model', 'model'],
  inputTokens: ['gen_ai.usage.input_tokens', 'input_tokens'],
  outputTokens: ['gen_ai.usage.output_tokens', 'output_tokens'],
  eventName: ['event.name'],
};

const HOT: ReadonlyMap<string, { readonly field: HotField; readonly rank: number }> = new Map(
  Object.entries(ALIASES).flatMap(([field, keys]) =>
    keys.map((key, rank) => [key, { field: field as HotField, rank }] as const),
  ),
);

/** The hot fields of one set of attributes, as text. */
export class Hints {
  #found: Partial<Record<HotField, { readonly rank: number; readonly text: string }>> | null = null;

  /** @param scalar the value as text; null for one that is no string, number or boolean */
  note(key: string, scalar: string | null): void {
    const hot = HOT.get(key);
    if (hot === undefined || scalar === null || scalar === '') return;
    this.#found ??= {};
    const known = this.#found[hot.field];
    if (known === undefined || hot.rank < known.rank)
      this.#found[hot.field] = { rank: hot.rank, text: storable(scalar) };
  }

  get(field: HotField): string | null {
    return this.#found?.[field]?.text ?? null;
  }
}

/** An item's own word goes before its resource's. */
export function hint(field: HotField, own: Hints, resource: Hints): string | null {
  return own.get(field) ?? resource.get(field);
}
