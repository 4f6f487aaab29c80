import { type ParseArgsConfig, parseArgs } from 'node:util';
import { UsageError } from './failure.ts';
import type { Screen } from './terminal.ts';

export type Options = NonNullable<ParseArgsConfig['options']>;
export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** What a command has to work with. */
export interface Context {
  readonly env: NodeJS.ProcessEnv;
  readonly directory: string;
  readonly screen: Screen;
  /** Writes to standard output; `text` is complete lines. */
  readonly print: (text: string) => void;
}

export interface Command {
  readonly summary: string;
  /** Everything that `--help` says. */
  readonly help: string;
  readonly options: Options;
  /** @throws UsageError, Failure */
  run(call: { readonly values: Values; readonly words: readonly string[] }, context: Context): Promise<void>;
}

/** Options of every command that asks the server. */
export const CLIENT_OPTIONS = {
  url: { type: 'string' },
  'key-file': { type: 'string' },
  json: { type: 'boolean' },
} as const satisfies Options;

export const CLIENT_HELP = `  --json             print what the API answers, for scripts
  --url URL          the server (SIGNALBOX_URL; http://127.0.0.1:7317)
  --key-file FILE    a file with the API key (instead of SIGNALBOX_KEY)
  -h, --help         this text`;

/** @throws UsageError for an option that the command does not have, or one without its value */
export function read(args: readonly string[], options: Options): { values: Values; words: readonly string[] } {
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: true });
    return { values: parsed.values as Values, words: parsed.positionals };
  } catch (error) {
    const isKey = args.some((arg) => /^--(api-?)?key(=|$)/.test(arg));
    if (isKey) {
      throw new UsageError('a key on the command line can be seen by others: use SIGNALBOX_KEY or --key-file');
    }
    // Node adds advice about `--` after the first sentence.
    throw new UsageError((error as Error).message.replace(/\. .*/s, ''));
  }
}

export const textOf = (values: Values, name: string): string | undefined =>
  typeof values[name] === 'string' ? values[name] : undefined;
