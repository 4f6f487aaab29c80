import type { ParsedScript } from 'unbash';
import type { Effect, Flag, FlagCode, GitAction, ShellAnalysis } from './model.ts';
import { LIMITS } from './model.ts';
import type { Scope, Trace, Value } from './scope.ts';
import { isInteger, newTrace } from './scope.ts';

/** The analysis gives up: what it found so far stands, and is flagged. */
class LimitReached extends Error {
  constructor() {
    super('too many commands');
  }
}

/** One analysis in progress: what was found so far, how deep it is, and what pieces being traced have changed. */
export class Session {
  /** The names of the functions being called, outermost first. */
  calls: string[] = [];
  depth = 0;
  private readonly effects = new Map<string, Effect>();
  private readonly flags = new Map<string, Flag>();
  private readonly gitActions = new Map<string, GitAction>();
  private readonly commands = new Set<string>();
  private readonly traces: Trace[] = [];
  private muted = 0;
  private steps = 0;
  private characters = 0;
  /** Evaluates a nested script in a shell of its own; set by the walker, which this file must not know. */
  readonly runNested: (session: Session, script: ParsedScript, scope: Scope) => void;

  constructor(runNested: (session: Session, script: ParsedScript, scope: Scope) => void) {
    this.runNested = runNested;
  }

  result(): ShellAnalysis {
    return {
      effects: [...this.effects.values()],
      gitActions: [...this.gitActions.values()],
      flags: [...this.flags.values()],
      commands: [...this.commands],
    };
  }

  flag(code: FlagCode, detail: string): void {
    // What a muted pass sees is seen again by the pass that counts, except for reaching a limit.
    if (this.muted > 0 && code !== 'too_complex') return;
    const short = detail.length > 200 ? `${detail.slice(0, 200)}…` : detail;
    this.add(this.flags, `${code} ${short}`, { code, detail: short });
  }

  effect(effect: Effect): void {
    const { kind, path, recursive, glob } = effect;
    this.add(this.effects, `${kind} ${recursive} ${glob} ${path}`, effect);
  }

  gitAction(action: GitAction): void {
    this.add(this.gitActions, JSON.stringify(action), action);
  }

  command(name: string): void {
    if (this.muted === 0 && this.commands.size < LIMITS.findings) this.commands.add(name);
  }

  private add<T>(into: Map<string, T>, key: string, found: T): void {
    if ((this.muted > 0 && into !== (this.flags as unknown)) || into.has(key)) return;
    if (into.size < LIMITS.findings) into.set(key, found);
    else if (into !== (this.flags as unknown)) this.flag('too_complex', 'too many files');
  }

  /** Counts one node evaluated, of so many characters of nested text. Throws {@link LimitReached}. */
  step(characters = 0): void {
    this.steps += 1;
    this.characters += characters;
    if (this.steps > LIMITS.steps || this.characters > LIMITS.nestedLength) throw new LimitReached();
  }

  /** Runs `inner` one level deeper; flagged and skipped beyond the limit. */
  nested(inner: () => void): void {
    if (this.depth >= LIMITS.depth) {
      this.flag('too_complex', 'nested too deeply');
      return;
    }
    this.depth += 1;
    inner();
    this.depth -= 1;
  }

  /** What `inner` changes; without recording findings if `muted`. */
  traced(muted: boolean, inner: () => void): Trace {
    const trace = newTrace();
    this.traces.push(trace);
    this.muted += muted ? 1 : 0;
    inner();
    this.muted -= muted ? 1 : 0;
    this.traces.pop();
    return trace;
  }

  assign(scope: Scope, name: string, value: Value): void {
    scope.assign(name, value);
    this.noteName(name, isInteger(value));
  }

  hide(scope: Scope, name: string): void {
    scope.hide(name);
    this.noteName(name, false);
  }

  private noteName(name: string, integer: boolean): void {
    for (const trace of this.traces) {
      trace.names.set(name, { integer: integer && (trace.names.get(name)?.integer ?? true) });
    }
  }

  note(change: (trace: Trace) => void): void {
    for (const trace of this.traces) change(trace);
  }
}
