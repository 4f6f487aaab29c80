import type { OptionSpec } from '../args.ts';
import { parseArgs, uncounted } from '../args.ts';
import type { Field } from '../field.ts';
import { baseName, concat, literal, textOf, under } from '../field.ts';
import type { Call, Handler, Outcome } from '../outcome.ts';
import { deletes, edits, flag } from '../outcome.ts';

const TAR: OptionSpec = {
  flags: 'cxtvzjJpmkOahl',
  valued: 'fCTX',
  long: 'create extract get list verbose gzip bzip2 xz zstd preserve-permissions same-owner no-same-owner to-stdout auto-compress keep-old-files wildcards exclude-vcs dereference'.split(
    ' ',
  ),
  longValued: 'file directory exclude strip-components exclude-from files-from'.split(' '),
};

const tar: Handler = (call) => {
  // `tar xzf a.tgz`: the first word needs no dash.
  const [first, ...rest] = call.args;
  const bundle = textOf(first);
  const dashed = bundle !== undefined && /^[a-zA-Z]+$/.test(bundle) ? [literal(`-${bundle}`), ...rest] : call.args;
  const args = parseArgs({ ...call, args: dashed }, TAR);
  const outcomes = [...args.problems];
  if (args.has('c', 'create')) {
    outcomes.push(
      ...edits(
        args.values('f', 'file').filter((field) => textOf(field) !== '-'),
        'tar',
      ),
    );
  }
  if (args.has('x', 'extract', 'get') && !args.has('O', 'to-stdout')) {
    const places = args.values('C', 'directory');
    if (places.length === 0) outcomes.push(flag('unknown_writer', 'tar extracts here'));
    else outcomes.push(...edits([places.reduce((outer, inner) => under(outer, inner))], 'tar', true));
  }
  return outcomes;
};

const unzip: Handler = (call) => {
  const { problems, has, values } = parseArgs(call, { flags: 'lptvZnoqajuf', valued: 'dx' });
  if (has('l', 'p', 't', 'v', 'Z')) return problems;
  const places = values('d');
  return [
    ...problems,
    ...(places.length > 0 ? edits(places, 'unzip', true) : [flag('unknown_writer', 'unzip extracts here')]),
  ];
};

const zip: Handler = (call) => {
  const { problems, operands } = parseArgs(call, { flags: 'rqv0123456789jyXu', valued: 'xi' });
  const archive = operands.slice(0, 1);
  return [
    ...problems,
    ...edits(archive, 'zip'),
    ...edits(
      archive.map((field) => concat(field, literal('.zip'))),
      'zip',
    ),
  ];
};

/** gzip and the like replace their operands unless they write to their output. */
const compressor: Handler = (call) => {
  const { problems, has, operands } = parseArgs(call, {
    flags: 'cdfklqtvz0123456789',
    long: ['stdout', 'to-stdout', 'list', 'test', 'decompress', 'keep', 'force', 'quiet', 'verbose', 'best', 'fast'],
  });
  if (operands.length === 0 || has('c', 'stdout', 'to-stdout', 'l', 'list', 't', 'test')) return problems;
  return [
    ...problems,
    ...operands.map((field) => flag('unknown_writer', `${call.name} ${field.text}`)),
    ...deletes(operands, call.name),
  ];
};

/** A patch names its files itself, so only a rehearsal and a named file say anything. */
const patch: Handler = (call) => {
  const { problems, operands, has } = parseArgs(call, {
    flags: 'NRfstuE',
    valued: 'pidF',
    long: ['dry-run', 'forward', 'reverse', 'force', 'batch', 'silent', 'verbose', 'no-backup-if-mismatch'],
    longValued: ['strip', 'input', 'directory', 'fuzz'],
  });
  if (has('dry-run')) return problems;
  return [
    ...problems,
    flag('unknown_writer', 'patch'),
    ...(has('d', 'directory') ? [] : edits(operands.slice(0, 1), 'patch')),
  ];
};

const RSYNC: OptionSpec = {
  flags: 'avzrhPnutplogDIcWqRHAXSx',
  long: 'archive verbose compress recursive progress dry-run update times perms links owner group delete delete-after delete-before delete-excluded checksum quiet partial stats human-readable ignore-existing existing'.split(
    ' ',
  ),
  longValued: [
    'exclude',
    'include',
    'exclude-from',
    'include-from',
    'filter',
    'bwlimit',
    'max-size',
    'min-size',
    'chmod',
  ],
  longAttached: ['info'],
};

const rsync: Handler = (call) => {
  const { problems: unread, operands, has } = parseArgs(call, RSYNC);
  const problems = [...unread];
  const target = operands.at(-1);
  problems.push(...uncounted(call, operands.slice(-1)));
  if (target === undefined || operands.length < 2 || has('n', 'dry-run')) return problems;
  if (/^[^/]*:/.test(target.text) && target.unknown === undefined) return problems;
  const gone = has('delete', 'delete-after', 'delete-before', 'delete-excluded');
  return [...problems, ...edits([target], 'rsync', true), ...(gone ? deletes([target], 'rsync --delete', true) : [])];
};

const CURL: OptionSpec = {
  flags: 'sSfLkvgiIGN0123460OZa#l',
  valued: 'XHdFuAebmoxTwDcrYyzE',
  long: 'silent show-error fail location insecure verbose head include get compressed no-buffer http1.1 http2 http2-prior-knowledge ipv4 ipv6 remote-name fail-with-body no-progress-meter progress-bar globoff create-dirs retry-all-errors retry-connrefused path-as-is raw tlsv1.2 location-trusted ssl-reqd no-keepalive'.split(
    ' ',
  ),
  longValued:
    'request header data data-raw data-binary data-urlencode data-ascii json form form-string user user-agent referer cookie max-time connect-timeout output proxy upload-file write-out dump-header cookie-jar range cacert cert key retry retry-delay retry-max-time resolve url limit-rate unix-socket aws-sigv4 output-dir max-filesize noproxy oauth2-bearer interface'.split(
      ' ',
    ),
};

const curl: Handler = (call) => {
  const { problems, operands, has, values } = parseArgs(call, CURL);
  const [place] = values('output-dir');
  const at = (field: Field): Field => (place === undefined ? field : under(place, field));
  const named = values('o', 'output').filter((field) => textOf(field) !== '-');
  const own = values('D', 'dump-header', 'c', 'cookie-jar').filter((field) => textOf(field) !== '-');
  const remote = has('O', 'remote-name') ? operands.flatMap((url) => remoteName(call, url, at)) : [];
  // `-w '%output{file}'` writes too.
  const formats = values('w', 'write-out').filter((field) => textOf(field)?.includes('%output') ?? true);
  const written = formats.map((field) => flag(field.unknown ?? 'unknown_writer', `curl -w ${field.text}`));
  return [...problems, ...edits(named.map(at), 'curl -o'), ...edits(own, 'curl'), ...remote, ...written];
};

function remoteName(call: Call, url: Field, at: (field: Field) => Field): Outcome[] {
  const text = textOf(url);
  const name = text === undefined ? undefined : baseName(literal(text.replace(/[?#].*$/s, '')));
  if (name === undefined || /[{}[\]]/.test(url.text))
    return [flag(url.unknown ?? 'unknown_writer', `${call.name} -O ${url.text}`)];
  return edits([at(name)], 'curl -O');
}

const WGET: OptionSpec = {
  flags: 'qcvNS',
  valued: 'OPTtUo',
  long: ['quiet', 'continue', 'no-verbose', 'no-check-certificate', 'show-progress', 'spider'],
  longValued: [
    'output-document',
    'directory-prefix',
    'timeout',
    'tries',
    'header',
    'user-agent',
    'output-file',
    'post-data',
  ],
};

/** Without `-O` the server and what is already there choose the name. */
const wget: Handler = (call) => {
  const { problems, has, values } = parseArgs(call, WGET);
  const logs = edits(values('o', 'output-file'), 'wget -o');
  const documents = values('O', 'output-document');
  if (documents.length > 0) {
    return [
      ...problems,
      ...logs,
      ...edits(
        documents.filter((field) => textOf(field) !== '-'),
        'wget -O',
      ),
    ];
  }
  const places = values('P', 'directory-prefix');
  if (has('spider')) return [...problems, ...logs];
  if (places.length > 0) return [...problems, ...logs, ...edits(places, 'wget -P', true)];
  return [...problems, ...logs, flag('unknown_writer', 'wget names the file itself')];
};

/** `split` and `csplit` name their files by a prefix. */
const split: Handler = (call) => [flag('unknown_writer', `${call.name} names its files itself`)];

export const FILES: ReadonlyArray<readonly [string, Handler]> = [
  ['tar', tar],
  ['gtar', tar],
  ['unzip', unzip],
  ['zip', zip],
  ...['gzip', 'gunzip', 'bzip2', 'bunzip2', 'xz', 'unxz', 'zstd', 'unzstd'].map((name): [string, Handler] => [
    name,
    compressor,
  ]),
  ['patch', patch],
  ['rsync', rsync],
  ['curl', curl],
  ['wget', wget],
  ['split', split],
  ['csplit', split],
];
