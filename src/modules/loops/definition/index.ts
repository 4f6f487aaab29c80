export { definitionDigest } from './digest.ts';
export { type DefinitionInput, parseLoopDefinition } from './parse.ts';
export type { DefinitionWarning } from './report.ts';
export {
  type Guardrails,
  guardrailsSchema,
  type LoopDefinition,
  loopDefinitionSchema,
} from './schema.ts';
