import type { OptionSpec } from '../args.ts';
import { parseArgs, uncounted } from '../args.ts';
import { mayBeOption, textOf } from '../field.ts';
import type { Call, Handler, Outcome } from '../outcome.ts';
import { edits, flag } from '../outcome.ts';

/** Programs that change no file whatever their arguments are. */
const READ_ONLY = [
  'ls cat head tail wc grep egrep fgrep zgrep echo printf pwd true false : test [ basename dirname realpath readlink',
  'stat du df which type whereis id whoami groups hostname uname arch nproc uptime ps pgrep free lsof sleep seq expr',
  'tac rev nl od hexdump strings cut paste tr comm join fold fmt column pr cmp diff diff3 md5sum sha1sum sha224sum',
  'sha256sum sha384sum sha512sum shasum cksum b2sum sum cal factor numfmt tsort printenv locale tty jq getconf yes',
  'times ulimit umask wait jobs kill pkill killall fg bg disown dirs help users who w logname caller nm size ldd',
  'unalias mkdir sync cloc wc dig host nslookup ping sw_vers lscpu lsblk egrep zcat bzcat xzcat',
]
  .join(' ')
  .split(' ');

/** Letters and names of options of otherwise read-only programs that write or run something. */
const READ_ONLY_BUT: Readonly<
  Record<string, { readonly options: RegExp; readonly what: 'unknown_writer' | 'interpreter' }>
> = {
  rg: { options: /^--(pre|hostname-bin)/, what: 'interpreter' },
  ag: { options: /^--pager/, what: 'interpreter' },
  fd: { options: /^(-[^-]*[xX]|--exec)/, what: 'interpreter' },
  fdfind: { options: /^(-[^-]*[xX]|--exec)/, what: 'interpreter' },
  file: { options: /^(-[^-]*C|--compile)/, what: 'unknown_writer' },
  date: { options: /^(-[uR]*s|--s)/, what: 'unknown_writer' },
  tree: { options: /^(-[^-]*[oR])/, what: 'unknown_writer' },
  bat: { options: /^(--pager|cache)/, what: 'interpreter' },
  less: { options: /^([-+])/, what: 'unknown_writer' },
  more: { options: /^([-+])/, what: 'unknown_writer' },
  base64: { options: /^(-o|--output)/, what: 'unknown_writer' },
  yq: { options: /^(-[^-]*[is]|--in-?place|--split)/, what: 'unknown_writer' },
};

function readOnlyBut({ name, args }: Call): Outcome[] {
  const rule = READ_ONLY_BUT[name]!;
  return args.flatMap((arg) => {
    if (arg.unknown !== undefined || arg.pattern !== undefined) {
      return mayBeOption(arg) ? [flag(arg.unknown ?? 'glob', `${name} ${arg.text}`)] : [];
    }
    return rule.options.test(arg.text) ? [flag(rule.what, `${name} ${arg.text}`)] : [];
  });
}

const SORT: OptionSpec = {
  flags: 'bdfgiMhnRrVcCmsuz',
  valued: 'kotST',
  long: 'reverse unique stable numeric-sort human-numeric-sort version-sort ignore-case check merge zero-terminated general-numeric-sort'.split(
    ' ',
  ),
  longValued: 'output key field-separator parallel buffer-size temporary-directory sort batch-size'.split(' '),
};

const sort: Handler = (call) => {
  const { problems, values } = parseArgs(call, SORT);
  return [...problems, ...edits(values('o', 'output'), 'sort -o')];
};

const SHUF: OptionSpec = {
  flags: 'erz',
  valued: 'ion',
  long: ['echo', 'repeat', 'zero-terminated'],
  longValued: ['input-range', 'head-count', 'output', 'random-source'],
};

const shuf: Handler = (call) => {
  const { problems, values } = parseArgs(call, SHUF);
  return [...problems, ...edits(values('o', 'output'), 'shuf -o')];
};

const UNIQ: OptionSpec = {
  flags: 'cdDiuz',
  valued: 'fsw',
  long: ['count', 'repeated', 'ignore-case', 'unique', 'zero-terminated'],
  longValued: ['skip-fields', 'skip-chars', 'check-chars'],
  longAttached: ['all-repeated', 'group'],
};

/** `uniq in out` writes its second operand. */
const uniq: Handler = (call) => {
  const { problems, operands } = parseArgs(call, UNIQ);
  return [...problems, ...uncounted(call, operands), ...edits(operands.slice(1), 'uniq')];
};

const XXD: OptionSpec = { flags: 'abCeEhiprudv', valued: 'cglnosR' };

/** `xxd in out`, and `-r` patches `out`. */
const xxd: Handler = (call) => {
  const { problems, operands } = parseArgs(call, XXD);
  return [
    ...problems,
    ...edits(
      operands.slice(1).filter((field) => textOf(field) !== '-'),
      'xxd',
    ),
  ];
};

/** `mktemp` makes a new file under /tmp unless it is told another place. */
const mktemp: Handler = (call) => {
  const { problems, operands, has } = parseArgs(call, { flags: 'dqut', long: ['directory', 'quiet', 'dry-run'] });
  const elsewhere = operands.filter((field) => !has('t') && !(textOf(field) ?? '').startsWith('/tmp/'));
  return [...problems, ...elsewhere.map((field) => flag(field.unknown ?? 'unknown_writer', `mktemp ${field.text}`))];
};

const nothing: Handler = () => [];

export const READERS: ReadonlyArray<readonly [string, Handler]> = [
  ...READ_ONLY.map((name): [string, Handler] => [name, nothing]),
  ...Object.keys(READ_ONLY_BUT).map((name): [string, Handler] => [name, readOnlyBut]),
  ['sort', sort],
  ['shuf', shuf],
  ['uniq', uniq],
  ['xxd', xxd],
  ['mktemp', mktemp],
];
