/** Where something stands in a document, as its author wrote it: keys and list positions from the root. */
export type SourcePath = readonly (string | number)[];

/** A reason why a definition is refused. `line` counts from 1; null where the input was no text. */
export interface DefinitionError {
  path: string;
  line: number | null;
  reason: string;
}

/** Something that was accepted, but that its author should know. */
export interface DefinitionWarning {
  code: 'unknown_key' | 'ignored_key' | 'unknown_trigger' | 'unknown_halt_condition' | 'trigger_never_fires';
  path: string;
  line: number | null;
  reason: string;
}

/** Collects what is found while a definition is read, so that its author sees everything at once. */
export interface Report {
  error(at: SourcePath, reason: string): void;
  warn(code: DefinitionWarning['code'], at: SourcePath, reason: string): void;
}

/** `guardrails.halt_on[0]`; a key that is no plain word is quoted. The root is the empty string. */
function formatPath(path: SourcePath): string {
  return path.reduce<string>((text, segment) => {
    if (typeof segment === 'number') return `${text}[${segment}]`;
    if (!/^[\w$-]+$/.test(segment)) return `${text}[${JSON.stringify(segment)}]`;
    return text === '' ? segment : `${text}.${segment}`;
  }, '');
}

/** A report that keeps its findings; `lineOf` says on which line of the text a path stands. */
export function collectReport(lineOf: (at: SourcePath) => number | null): Report & {
  errors: DefinitionError[];
  warnings: DefinitionWarning[];
} {
  const errors: DefinitionError[] = [];
  const warnings: DefinitionWarning[] = [];
  return {
    errors,
    warnings,
    error: (at, reason) => void errors.push({ path: formatPath(at), line: lineOf(at), reason }),
    warn: (code, at, reason) => void warnings.push({ code, path: formatPath(at), line: lineOf(at), reason }),
  };
}
