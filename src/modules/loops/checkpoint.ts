import { z } from 'zod';

const MAX_CHECKPOINT_BYTES = 64 * 1024;
const MAX_DEPTH = 100;

/** Any JSON that is small, and shallow enough for whoever walks it by recursion. */
export const checkpointSchema = z
  .unknown()
  .refine((value) => !isDeeper(value, MAX_DEPTH), { error: `is nested deeper than ${MAX_DEPTH} levels`, abort: true })
  .refine((value) => Buffer.byteLength(JSON.stringify(value) ?? '') <= MAX_CHECKPOINT_BYTES, {
    error: `is larger than ${MAX_CHECKPOINT_BYTES / 1024} KiB`,
  });

function isDeeper(root: unknown, limit: number): boolean {
  let level: unknown[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > limit) return true;
    level = level.flatMap((value): unknown[] =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    );
  }
  return false;
}
