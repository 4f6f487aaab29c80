import type { OptionSpec, ParsedArgs } from '../args.ts';
import { parseArgs, uncounted } from '../args.ts';
import type { Field } from '../field.ts';
import { baseName, literal, textOf, under } from '../field.ts';
import type { Call, Handler, Outcome } from '../outcome.ts';
import { deletes, edits, flag } from '../outcome.ts';

const RM: OptionSpec = {
  flags: 'fiIrRdv',
  long: ['force', 'recursive', 'dir', 'verbose', 'one-file-system', 'preserve-root', 'no-preserve-root'],
  longAttached: ['interactive'],
};

const rm: Handler = (call) => {
  const { operands, problems, has } = parseArgs(call, RM);
  const recursive = has('r', 'R', 'recursive');
  return [...problems, ...deletes(operands, recursive ? 'rm -r' : 'rm', recursive)];
};

const rmdir: Handler = (call) => {
  const { operands, problems } = parseArgs(call, {
    flags: 'pv',
    long: ['parents', 'verbose', 'ignore-fail-on-non-empty'],
  });
  return [...problems, ...deletes(operands, call.name)];
};

/** Where the files of a copy or move land. */
interface Landing {
  readonly problems: readonly Outcome[];
  readonly sources: readonly Field[];
  readonly targets: readonly Field[];
}

/**
 * `cp a b` writes `b`, or `b/a` if `b` is a directory, and both are claimed; with `-t`, three operands or a trailing
 * slash only the latter is possible. What has no name of its own (`.`, `..`) lands in the target itself.
 */
function landing(call: Call, args: ParsedArgs, recursive: boolean): Landing {
  const [given] = args.values('t', 'target-directory');
  const exact = args.has('T', 'no-target-directory');
  const sources = given === undefined ? args.operands.slice(0, -1) : args.operands;
  const target = given ?? args.operands.at(-1);
  // Which word is the target is only known if that one is a single word.
  const problems = given === undefined ? uncounted(call, args.operands.slice(-1)) : [];
  if (target === undefined || sources.length === 0) return { problems, sources: [], targets: [] };
  const counted = sources.length > 1 && sources.every((source) => source.pattern === undefined && !source.loose);
  const slashed = /\/$|(^|\/)\.\.?$/.test(textOf(target) ?? '') && !recursive;
  const within = given !== undefined || counted || slashed;
  const inside = sources.map((source) => {
    const name = baseName(source);
    // BSD copies the contents of `dir/`, as everybody does those of `dir/.`.
    const contents = name === undefined || (recursive && source.text.endsWith('/'));
    return contents ? target : under(target, name);
  });
  if (exact) return { problems, sources, targets: [target] };
  return { problems, sources, targets: within ? inside : [target, ...inside] };
}

const CP: OptionSpec = {
  flags: 'afiHLnPpRrTuvxdZ',
  valued: 't',
  long: 'archive force interactive no-clobber recursive no-target-directory update verbose one-file-system dereference no-dereference strip-trailing-slashes'.split(
    ' ',
  ),
  longValued: ['target-directory', 'no-preserve', 'sparse'],
  longAttached: ['preserve', 'reflink', 'update'],
};

const cp: Handler = (call) => {
  const args = parseArgs(call, CP);
  const recursive = args.has('r', 'R', 'a', 'recursive', 'archive');
  const { problems, targets } = landing(call, args, recursive);
  return [...args.problems, ...problems, ...edits(targets, 'cp', recursive)];
};

const MV: OptionSpec = {
  flags: 'finuvTZ',
  valued: 't',
  long: 'force interactive no-clobber no-target-directory update verbose strip-trailing-slashes'.split(' '),
  longValued: ['target-directory'],
  longAttached: ['update'],
};

/** What is moved may be a directory, so that everything below it goes with it. */
const mv: Handler = (call) => {
  const args = parseArgs(call, MV);
  const { problems, sources, targets } = landing(call, args, true);
  return [...args.problems, ...problems, ...deletes(sources, 'mv', true), ...edits(targets, 'mv', true)];
};

const INSTALL: OptionSpec = {
  flags: 'cCdDpsTv',
  valued: 'gmot',
  long: ['directory', 'compare', 'preserve-timestamps', 'strip', 'no-target-directory', 'verbose'],
  longValued: ['group', 'mode', 'owner', 'target-directory'],
};

const install: Handler = (call) => {
  const args = parseArgs(call, INSTALL);
  if (args.has('d', 'directory')) return args.problems;
  const { problems, targets } = landing(call, args, false);
  return [...args.problems, ...problems, ...edits(targets, 'install')];
};

const LN: OptionSpec = {
  flags: 'fsnivrTLP',
  valued: 't',
  long: ['force', 'symbolic', 'no-dereference', 'interactive', 'verbose', 'relative', 'no-target-directory'],
  longValued: ['target-directory'],
};

/** A link makes later writes land elsewhere than their path says, so it is always flagged. */
const ln: Handler = (call) => {
  const args = parseArgs(call, LN);
  const { operands } = args;
  const alone = operands.length === 1 && !args.has('t', 'target-directory') ? baseName(operands[0]!) : undefined;
  const targets = alone === undefined ? landing(call, args, false).targets : [alone];
  return [
    ...args.problems,
    flag('link', `ln ${operands.map((field) => field.text).join(' ')}`),
    ...edits(targets, 'ln'),
  ];
};

/** A program that edits all its operands. */
function editsOperands(spec: OptionSpec, from = 0): Handler {
  return (call) => {
    const { operands, problems } = parseArgs(call, spec);
    return [...problems, ...edits(operands.slice(from), call.name)];
  };
}

const CHOWN: OptionSpec = {
  flags: 'cfhvRHLP',
  long: ['changes', 'quiet', 'silent', 'verbose', 'dereference', 'no-dereference', 'recursive', 'preserve-root'],
  longValued: ['reference', 'from'],
};

const chown: Handler = (call) => {
  const { operands, problems, has } = parseArgs(call, CHOWN);
  const files = has('reference') ? operands : operands.slice(1);
  return [...problems, ...edits(files, call.name, has('R', 'recursive'))];
};

/** The mode may look like an option: `chmod -x file`. */
const chmod: Handler = (call) => {
  const spec: OptionSpec = { ...CHOWN, flags: `${CHOWN.flags}rwxXstugo` };
  const { operands, problems, has } = parseArgs(call, spec);
  const modeGiven = has('reference', 'r', 'w', 'x', 'X', 's', 't', 'u', 'g', 'o');
  return [...problems, ...edits(modeGiven ? operands : operands.slice(1), 'chmod', has('R', 'recursive'))];
};

/** `dd of=file`; an unknown word could be one. */
const dd: Handler = (call) =>
  call.args.flatMap((arg): Outcome[] => {
    const start = arg.unknown === undefined ? arg.text : (arg.prefix ?? '');
    if (start.startsWith('of=') && arg.unknown !== undefined) return [flag(arg.unknown, `dd ${arg.text}`)];
    if (start.startsWith('of=')) return edits([literal(arg.text.slice(3))], 'dd');
    return arg.unknown !== undefined && !start.includes('=') ? [flag(arg.unknown, `dd ${arg.text}`)] : [];
  });

const SHRED: OptionSpec = {
  flags: 'fuvxz',
  valued: 'ns',
  long: ['force', 'verbose', 'exact', 'zero'],
  longValued: ['iterations', 'size'],
  longAttached: ['remove'],
};

const shred: Handler = (call) => {
  const { operands, problems, has } = parseArgs(call, SHRED);
  const gone = has('u', 'remove');
  return [...problems, ...(gone ? deletes(operands, 'shred -u') : edits(operands, 'shred'))];
};

export const COREUTILS: ReadonlyArray<readonly [string, Handler]> = [
  ['rm', rm],
  ['rmdir', rmdir],
  ['unlink', rmdir],
  ['cp', cp],
  ['mv', mv],
  ['install', install],
  ['ln', ln],
  ['tee', editsOperands({ flags: 'aip', long: ['append', 'ignore-interrupts'], longAttached: ['output-error'] })],
  [
    'touch',
    editsOperands({
      flags: 'acmfh',
      valued: 'rdt',
      long: ['no-create', 'no-dereference'],
      longValued: ['date', 'reference', 'time'],
    }),
  ],
  [
    'truncate',
    editsOperands({ flags: 'co', valued: 'sr', long: ['no-create', 'io-blocks'], longValued: ['size', 'reference'] }),
  ],
  ['chmod', chmod],
  ['chown', chown],
  ['chgrp', chown],
  ['dd', dd],
  ['shred', shred],
];
