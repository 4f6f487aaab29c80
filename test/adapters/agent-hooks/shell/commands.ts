import fc from 'fast-check';

/** Shell commands at random, of the names that {@link makeSandbox} knows, for comparison with real bash. */

const NAMES = [
  'zqa.ts',
  'zqb.txt',
  'zq c.txt',
  'zqd',
  'zqd/',
  'zqd/zqa.ts',
  'zqd/zqe',
  'zqd/../zqb.txt',
  './zqa.ts',
  'zq[x]y.ts',
  'zqé.txt',
  'zqnew',
  'zqnew/zqn.ts',
  'zqg',
  '.zqh',
  'zqlink',
];

function quoted(name: string, style: number): string {
  switch (style) {
    case 0:
      return `'${name}'`;
    case 1:
      return `"${name}"`;
    case 2:
      return `$'${name}'`;
    case 3:
      return name.replace(/[^\w./é]/g, '\\$&');
    case 4:
      return `${name.slice(0, 3)}"${name.slice(3)}"`;
    default:
      return name;
  }
}

const literalWord = fc.tuple(fc.constantFrom(...NAMES), fc.nat(6)).map(([name, style]) => quoted(name, style));
const variable = fc.constantFrom('F', 'G');
/** No slash after a variable: an empty one would make the path absolute. */
const oddWord = fc.oneof(
  variable.map((name) => `$${name}`),
  variable.map((name) => `"$${name}"`),
  variable.map((name) => `"\${${name}}.zq"`),
  variable.map((name) => `"\${${name}:-zqa.ts}"`),
  variable.map((name) => `\${${name}:=zqb.txt}`),
  fc.constantFrom('zq*', 'zq?.ts', 'zqd/zq*', 'zq[ab]*', '*zq*', 'zq*/zq*.ts', '.zq*', '*.ts'.replace('*', '*zq*')),
  fc.constantFrom('zq{a.ts,b.txt}', 'zq{a,n}.ts', '{zqd,zqg}/zqa.ts', 'zqn{1..3}', '"zq{a,b}.ts"'),
  fc.constantFrom('$(echo zqa.ts)', '"$(pwd)"/zqa.ts', '`echo zqb.txt`', '~/zqa.ts', '$HOME/zqa.ts', '"$PWD/zqb.txt"'),
  fc.constantFrom('$1', '"$1"', '"$@"', 'zqn$((1+1))', 'zqn$((F=3))', '""', '-f', '--', '$((G=1))zq'),
);
const word = fc.oneof({ weight: 3, arbitrary: literalWord }, { weight: 2, arbitrary: oddWord });

const simple = fc.oneof(
  fc
    .tuple(fc.constantFrom('rm', 'rm -r', 'rm -rf --', 'rm -f', 'rmdir', 'unlink'), word, word)
    .map(([c, a]) => `${c} ${a}`),
  fc
    .tuple(
      fc.constantFrom('rm', 'rm -r', 'touch', 'tee', 'tee -a', 'truncate -s 0', 'chmod 600', 'chmod -x'),
      word,
      word,
    )
    .map(([c, a, b]) => `${c} ${a} ${b}`),
  fc
    .tuple(
      fc.constantFrom('mv', 'mv -f', 'cp', 'cp -r', 'cp -T', 'mv -T', 'cp -a', 'install', 'ln', 'ln -s', 'ln -sf'),
      word,
      word,
    )
    .map(([c, a, b]) => `${c} ${a} ${b}`),
  fc.tuple(fc.constantFrom('mv', 'cp', 'cp -r'), word, word, word).map(([c, a, b, d]) => `${c} ${a} ${b} ${d}`),
  fc.tuple(fc.constantFrom('mv', 'cp -r', 'cp'), word, word).map(([c, a, b]) => `${c} -t ${a} ${b}`),
  fc
    .tuple(fc.constantFrom('sed -i s/a/X/', 'sed -i.zq s/a/X/', "sed -n 'p;s/a/b/'", 'sed -i -e 1d -e s/b/c/'), word)
    .map(([c, a]) => `${c} ${a}`),
  word.map((w) => `sed -n '/a/w zqw' ${w}`),
  fc.tuple(fc.constantFrom('>', '>>', '>|', '&>', '2>', '<>'), word).map(([op, w]) => `echo x ${op} ${w}`),
  word.map((w) => `cat > ${w} <<Z\nhi $F\nZ\n`),
  word.map((w) => `dd if=zqa.ts of=${w} status=none`),
  word.map((w) => `sort -o ${w} zqb.txt`),
  fc.tuple(word, word).map(([a, b]) => `uniq ${a} ${b}`),
  fc.tuple(word, fc.constantFrom('zqa*', 'zq*', '*zq*.ts', 'zq?')).map(([w, g]) => `find ${w} -name '${g}' -delete`),
  fc
    .tuple(word, fc.constantFrom('rm {}', 'sed -i s/a/Y/ {}', 'cp {} {}.zq', 'mv {} zqg', 'sh -c \'rm "$1"\' _ {}'))
    .map(([w, c]) => `find ${w} -type f -name 'zq*' -exec ${c} \\;`),
  word.map((w) => `printf '%s\\n' ${w} | xargs rm`),
  word.map((w) => `printf '%s\\n' ${w} | xargs -I{} touch {}.zq`),
  fc
    .tuple(fc.constantFrom('env', 'nice', 'command', 'timeout 2', 'env A=b', 'nohup', 'exec', 'builtin'), word)
    .map(([c, w]) => `${c} touch ${w}`),
);
const stateful = fc.oneof(
  fc.constantFrom(
    'cd zqd',
    'cd ..',
    'cd zqmissing',
    'cd',
    'cd -',
    'cd "$F"',
    'pushd zqd',
    'popd',
    'cd zqd/zqe',
    'cd ./zqg',
  ),
  fc.tuple(variable, word).map(([name, w]) => `${name}=${w}`),
  fc.tuple(variable, word).map(([name, w]) => `export ${name}=${w}`),
  fc.tuple(variable, word).map(([name, w]) => `local ${name}=${w}`),
  fc.tuple(variable, word).map(([name, w]) => `read ${name} <<< ${w}`),
  fc.tuple(variable, word).map(([name, w]) => `${name}+=${w}`),
  fc.tuple(variable, word).map(([name, w]) => `printf -v ${name} %s ${w}`),
  fc.tuple(variable, word).map(([name, w]) => `readonly ${name}=${w}`),
  fc.tuple(word, word).map(([a, b]) => `set -- ${a} ${b}`),
  fc.constantFrom(
    'shift',
    'unset F',
    'break',
    'continue',
    'return',
    'exit',
    'exit 1',
    'true',
    'false',
    ':',
    '((G=2))',
    'let F=4',
    'read F',
    'set -e',
    'set -f',
    'unset -f fn',
    '[ -f zqa.ts ]',
    '[[ -d zqd ]]',
    'fn',
    'wait',
  ),
  fc.tuple(variable, word).map(([name, w]) => `${name}=${w} true`),
);
const call = word.map((w) => `fn ${w}`);
const leaf = fc.oneof(
  { weight: 5, arbitrary: simple },
  { weight: 4, arbitrary: stateful },
  { weight: 1, arbitrary: call },
);

function quoteAll(script: string): string {
  return `'${script.replaceAll("'", "'\\''")}'`;
}

/** A here-document must be followed by a line of its own, so every piece ends in one. */
function line(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

function joined(left: string, operator: string, right: string): string {
  return left.includes('<<Z') ? `{ ${line(left)}} ${operator} { ${line(right)}}` : `${left} ${operator} ${right}`;
}

export const { script: scripts } = fc.letrec<{ script: string }>((tie) => {
  const script = tie('script');
  return {
    script: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'shell' },
      leaf,
      fc.tuple(script, script).map(([a, b]) => line(a) + b),
      fc.tuple(script, script, script).map(([a, b, c]) => line(a) + line(b) + c),
      fc.tuple(leaf, fc.constantFrom('&&', '||', ';', '|'), leaf).map(([a, op, b]) => joined(a, op, b)),
      fc
        .tuple(leaf, fc.constantFrom('&&', '||'), leaf, fc.constantFrom('&&', '||'), leaf)
        .map(([a, o, b, p, c]) => joined(joined(a, o, b), p, c)),
      script.map((a) => `( ${line(a)})`),
      fc.tuple(script, word).map(([a, w]) => `{ ${line(a)}} > ${w}`),
      script.map((a) => `! { ${line(a)}}`),
      fc.tuple(leaf, script, script).map(([a, b, c]) => `if ${line(a)}then ${line(b)}else ${line(c)}fi`),
      fc.tuple(variable, word, word, script).map(([name, a, b, c]) => `for ${name} in ${a} ${b}; do ${line(c)}done`),
      fc.tuple(leaf, script).map(([a, b]) => `while ${line(a)}do ${line(b)}break\ndone`),
      fc.tuple(leaf, script).map(([a, b]) => `n=0; while [ $n -lt 2 ]; do n=$((n+1)); ${line(a)}${line(b)}done`),
      fc.tuple(word, script, script).map(([w, a, b]) => `case ${w} in zqa*) ${line(a)};; *) ${line(b)};& no) ;; esac`),
      fc.tuple(script, script).map(([a, b]) => `fn() { ${line(a)}}\n${b}`),
      script.map((a) => `bash -c ${quoteAll(a)}`),
      script.map((a) => `eval ${quoteAll(a)}`),
      script.map((a) => `sh -c ${quoteAll(a)}`),
      fc.tuple(script, word).map(([a, w]) => `bash -c ${quoteAll(a)} _ ${w}`),
      script.map((a) => `echo "$( ${line(a)})"`),
      script.map((a) => `bash <<'EOS'\n${line(a)}EOS\n`),
    ),
  };
});
