export { definitionDigest } from './digest.ts';
export { type DefinitionInput, type DefinitionResult, parseLoopDefinition } from './parse.ts';
export type { DefinitionError, DefinitionWarning } from './report.ts';
export {
  type Budget,
  type Guardrails,
  guardrailsSchema,
  type HaltCondition,
  type LoopDefinition,
  loopDefinitionSchema,
  type Trigger,
} from './schema.ts';
