import type { Field } from './field.ts';
import { literal, mayBeOption } from './field.ts';
import type { Call, Outcome } from './outcome.ts';
import { flag } from './outcome.ts';

/**
 * The options that a program has and this analysis understands, as getopt_long reads them. An option that is not
 * named is flagged: it might write.
 */
export interface OptionSpec {
  /** Letters without a value, `rf`. */
  readonly flags?: string;
  /** Letters with a value, attached or next. */
  readonly valued?: string;
  /** Letters whose value can only be attached. */
  readonly attached?: string;
  readonly long?: readonly string[];
  readonly longValued?: readonly string[];
  /** Long options with `=value` or none. */
  readonly longAttached?: readonly string[];
  /** The first operand ends the options, as with wrappers. */
  readonly stopAtOperand?: boolean;
}

export interface ParsedArgs {
  readonly operands: readonly Field[];
  /** Flags for what was not understood. */
  readonly problems: readonly Outcome[];
  readonly has: (...names: readonly string[]) => boolean;
  /** The values of an option, in order; empty text where it stood without one. */
  readonly values: (...names: readonly string[]) => readonly Field[];
}

interface Option {
  readonly name: string;
  readonly value: Field;
}

class Reader {
  readonly options: Option[] = [];
  readonly operands: Field[] = [];
  readonly problems: Outcome[] = [];
  private index = 0;
  private readonly call: Call;
  private readonly spec: OptionSpec;

  constructor(call: Call, spec: OptionSpec) {
    this.call = call;
    this.spec = spec;
  }

  read(): void {
    const { args } = this.call;
    while (this.index < args.length) {
      const field = args[this.index++]!;
      if (field.text === '--' && field.unknown === undefined && field.pattern === undefined) break;
      if (mayBeOption(field)) this.readOption(field);
      else {
        this.operands.push(field);
        if (this.spec.stopAtOperand) break;
      }
    }
    this.operands.push(...args.slice(this.index));
  }

  private readOption(field: Field): void {
    if (field.unknown !== undefined) this.readUnknown(field);
    else if (field.pattern !== undefined) this.readGlob(field);
    else if (field.text.startsWith('--')) this.readLong(field.text, undefined);
    else this.readShort(field.text.slice(1));
  }

  /** `--name="$value"` is understood; any other unknown word could be any option. */
  private readUnknown(field: Field): void {
    const named = field.loose ? undefined : /^--[\w-]+=/.exec(field.prefix ?? '')?.[0];
    if (named !== undefined) {
      this.readLong(named, { ...field, prefix: (field.prefix ?? '').slice(named.length) });
      return;
    }
    this.problems.push(flag(field.unknown!, `${this.call.name} ${field.text}`));
    this.operands.push(field);
  }

  /** `*.log` can only be an operand of a program whose options have no values: no option holds a dot or a slash. */
  private readGlob(field: Field): void {
    const { valued = '', attached = '', longValued = [] } = this.spec;
    const harmless = valued + attached === '' && longValued.length === 0 && /[./]/.test(field.text);
    if (!harmless || field.text.startsWith('-')) {
      this.problems.push(flag('glob', `${this.call.name} ${field.text} may match a file named like an option; use ./`));
    }
    this.operands.push(field);
  }

  private readLong(text: string, value: Field | undefined): void {
    const equals = text.indexOf('=');
    const name = text.slice(2, equals < 0 ? undefined : equals);
    const given = value ?? (equals < 0 ? undefined : literal(text.slice(equals + 1)));
    const { long = [], longValued = [], longAttached = [] } = this.spec;
    if (longValued.includes(name)) this.take(name, given);
    else if (longAttached.includes(name)) this.options.push({ name, value: given ?? literal('') });
    else if (long.includes(name) && given === undefined) this.options.push({ name, value: literal('') });
    else this.problem(`--${name}`);
  }

  private readShort(cluster: string): void {
    const { flags = '', valued = '', attached = '' } = this.spec;
    for (let at = 0; at < cluster.length; at++) {
      const letter = cluster[at]!;
      const rest = cluster.slice(at + 1);
      if (flags.includes(letter)) this.options.push({ name: letter, value: literal('') });
      else if (valued.includes(letter)) return this.take(letter, rest === '' ? undefined : literal(rest));
      else if (attached.includes(letter)) {
        this.options.push({ name: letter, value: literal(rest) });
        return;
      } else return this.problem(`-${letter}`);
    }
  }

  private take(name: string, given: Field | undefined): void {
    const value = given ?? this.call.args[this.index++];
    if (value === undefined) return;
    const several = value.loose === true || value.pattern !== undefined;
    if (several) this.problems.push(flag(value.unknown ?? 'glob', `${this.call.name} ${value.text}`));
    this.options.push({ name, value });
  }

  private problem(option: string): void {
    this.problems.push(flag('unknown_writer', `${this.call.name} ${option}`));
  }
}

/** Splits a call's words into options and operands. Never throws. */
export function parseArgs(call: Call, spec: OptionSpec): ParsedArgs {
  const reader = new Reader(call, spec);
  reader.read();
  const { options, operands, problems } = reader;
  return {
    operands,
    problems,
    has: (...names) => options.some((option) => names.includes(option.name)),
    values: (...names) => options.filter((option) => names.includes(option.name)).map((option) => option.value),
  };
}

/**
 * Flags for operands of which nobody knows how many words they are. A program that gives meaning to an operand's
 * place raises them.
 */
export function uncounted(call: Call, operands: readonly Field[]): Outcome[] {
  return operands
    .filter((field) => field.loose === true || field.pattern !== undefined)
    .map((field) => flag(field.unknown ?? 'glob', `${call.name} ${field.text} may be several words`));
}
