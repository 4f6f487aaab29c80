/**
 * The files that a sed script writes with `w`, or undefined if the script could do more than that: run a command
 * (`e`), or anything this reader does not understand.
 */
export function sedWrites(script: string): readonly string[] | undefined {
  const reader = { text: script, at: 0, files: [] as string[] };
  while (reader.at < script.length) {
    if (!readCommand(reader)) return undefined;
  }
  return reader.files;
}

interface Reader {
  readonly text: string;
  at: number;
  readonly files: string[];
}

function readCommand(reader: Reader): boolean {
  take(reader, /[\s;]*/y);
  if (reader.at >= reader.text.length) return true;
  if (!readAddress(reader)) return false;
  if (take(reader, /\s*,\s*/y) !== '' && !readAddress(reader)) return false;
  take(reader, /[\s!]*/y);
  const command = reader.text[reader.at++];
  if (command === undefined) return false;
  if ('{}=dDgGhHnNpPxzF'.includes(command)) return true;
  if (command === '#') return take(reader, /[^\n]*/y) !== undefined;
  if ('qQl'.includes(command)) return take(reader, /\s*\d*/y) !== undefined;
  if (':btT'.includes(command)) return take(reader, /[^;\n}]*/y) !== undefined;
  // Text up to a line that does not end in a backslash; what follows a stray one is not understood.
  if ('aic'.includes(command)) return take(reader, /(?:\\[\s\S]|[^\\\n])*\n?/y) !== undefined;
  if ('rR'.includes(command)) return take(reader, /[^\n]*/y) !== undefined;
  if (command === 'w' || command === 'W') return readFile(reader);
  if (command === 'y') return readDelimited(reader) && readRest(reader);
  return command === 's' && readDelimited(reader) && readSubstituteFlags(reader);
}

function take(reader: Reader, pattern: RegExp): string {
  pattern.lastIndex = reader.at;
  const found = pattern.exec(reader.text)?.[0] ?? '';
  reader.at += found.length;
  return found;
}

/** A line number, `$`, `first~step`, `+n`, or a regular expression; none is fine too. */
function readAddress(reader: Reader): boolean {
  if (take(reader, /[+~]?\d+(~\d+)?|\$/y) !== '') return true;
  const start = reader.text[reader.at];
  if (start === '\\') {
    reader.at += 1;
    return readPattern(reader, reader.text[reader.at] ?? '') && take(reader, /[IM]*/y) !== undefined;
  }
  return start !== '/' || (readPattern(reader, '/') && take(reader, /[IM]*/y) !== undefined);
}

/** From one delimiter to the next. A bracket may hide a delimiter, so one that does is not understood. */
function readPattern(reader: Reader, delimiter: string): boolean {
  if (delimiter === '' || delimiter === '\n' || delimiter === '\\' || reader.text[reader.at] !== delimiter)
    return false;
  reader.at += 1;
  const start = reader.at;
  while (reader.at < reader.text.length) {
    const char = reader.text[reader.at++]!;
    if (char === '\\') reader.at += 1;
    else if (char === delimiter) return bracketsClosed(reader.text.slice(start, reader.at - 1));
  }
  return false;
}

function bracketsClosed(pattern: string): boolean {
  const plain = pattern.replace(/\\./gs, '');
  return !/\[/.test(plain.replace(/\[\^?\]?(?:\[[:.=][^\]]*\]|[^[\]])*\]/g, ''));
}

function readDelimited(reader: Reader): boolean {
  const delimiter = reader.text[reader.at] ?? '';
  if (!readPattern(reader, delimiter)) return false;
  reader.at -= 1;
  reader.at += 1;
  for (; reader.at < reader.text.length; reader.at++) {
    const char = reader.text[reader.at]!;
    if (char === '\\') reader.at += 1;
    else if (char === delimiter) {
      reader.at += 1;
      return true;
    }
  }
  return false;
}

function readSubstituteFlags(reader: Reader): boolean {
  take(reader, /[gpiImM\d]*/y);
  if (reader.text[reader.at] !== 'w') return readRest(reader);
  reader.at += 1;
  return readFile(reader);
}

function readFile(reader: Reader): boolean {
  const name = take(reader, /[^\n]*/y).trim();
  if (name === '') return false;
  reader.files.push(name);
  return true;
}

/** After a command only blanks, a separator or a closing brace may stand. */
function readRest(reader: Reader): boolean {
  take(reader, /[ \t]*/y);
  const next = reader.text[reader.at];
  return next === undefined || /[;\n}#]/.test(next);
}
