import { approvals } from './approvals.ts';
import { type Command, read } from './command.ts';
import { Failure, UsageError } from './failure.ts';
import { incident } from './incident.ts';
import { status } from './status.ts';
import { screenOf } from './terminal.ts';
import { plain } from './text.ts';

/** What the command line is given of its process. */
export interface CliProcess {
  /** Without the program and the script. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly directory: string;
  readonly version: string;
  readonly stdout: Output & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Output;
  /** Runs the server to its end. @returns its exit code */
  readonly serve: () => Promise<number>;
}

interface Output {
  write(text: string): unknown;
}

const SERVE_HELP = `signalbox serve

Starts the server: where it listens, its database and its keys come from the environment, as README.md says. Ctrl-C and
SIGTERM let requests under way finish and stop it.

  -h, --help         this text
`;

const COMMANDS: Readonly<Record<string, Command>> = { status, approvals, incident };

const HELP = `signalbox COMMAND [options]

  serve              start the server
${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(17)}  ${summary}`)
  .join('\n')}

  -h, --help         this text; after a command, its own
  -V, --version      the version

The server is at SIGNALBOX_URL, or http://127.0.0.1:7317; the API key is in SIGNALBOX_KEY. For people on a terminal, and
with --json for scripts. Exit codes: 0 done, 1 refused or failed, 2 not understood.
`;

/** The command line from its arguments to the exit code: 0 done, 1 refused or failed, 2 not understood. Never rejects for either. */
export async function runCli(cli: CliProcess): Promise<number> {
  try {
    return await dispatch(cli);
  } catch (error) {
    if (error instanceof UsageError) {
      cli.stderr.write(`signalbox: ${plain(error.message)} (signalbox --help)\n`);
      return 2;
    }
    if (error instanceof Failure) {
      cli.stderr.write(`signalbox: ${error.message}\n`);
      return 1;
    }
    throw error;
  }
}

async function dispatch(cli: CliProcess): Promise<number> {
  const [first, ...args] = cli.args;
  const print = (text: string) => void cli.stdout.write(text);
  switch (first) {
    case undefined:
      throw new UsageError('name a command');
    case '-h':
    case '--help':
      print(HELP);
      return 0;
    case '-V':
    case '--version':
      print(`${cli.version}\n`);
      return 0;
    case 'serve':
      return serve(args, cli, print);
  }
  const command = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (command === undefined) {
    throw new UsageError(first.startsWith('-') ? 'the command comes first' : `there is no command "${first}"`);
  }
  const call = read(args, { ...command.options, help: { type: 'boolean', short: 'h' } });
  if (call.values['help'] === true) print(command.help);
  else {
    const { env, directory } = cli;
    await command.run(call, { env, directory, screen: screenOf(cli.stdout, env), print });
  }
  return 0;
}

async function serve(args: readonly string[], cli: CliProcess, print: (text: string) => void): Promise<number> {
  const { values, words } = read(args, { help: { type: 'boolean', short: 'h' } });
  if (words.length > 0) throw new UsageError('serve takes no arguments; its settings are environment variables');
  if (values['help'] !== true) return cli.serve();
  print(SERVE_HELP);
  return 0;
}
