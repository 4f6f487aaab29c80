import { canonicalDigest } from '../../../platform/canonical.ts';
import type { LoopDefinition } from './schema.ts';

/**
 * SHA-256, in hex, of a definition as canonical JSON: everything that was kept, unknown keys included, with keys in
 * code-unit order. The order of keys, comments, shorthands and the format it was written in make no difference; the
 * same digest is the same version of a loop.
 */
export function definitionDigest(definition: LoopDefinition): string {
  return canonicalDigest(definition).toString('hex');
}
