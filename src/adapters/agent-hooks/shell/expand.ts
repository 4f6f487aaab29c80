import type { ArithmeticExpansionPart, DoubleQuotedChild, SyntaxNode, Word, WordPart } from 'unbash';
import { forEachChild } from 'unbash';
import { arithmetic } from './arithmetic.ts';
import { expandBraces } from './braces.ts';
import type { Field } from './field.ts';
import { escapePattern, unknownField } from './field.ts';
import type { FlagCode } from './model.ts';
import { LIMITS } from './model.ts';
import type { ParameterPart } from './parameters.ts';
import { isBare, judgeParameter, parameterValue, workingDirectory } from './parameters.ts';
import type { Scope, Value } from './scope.ts';
import { UNKNOWN } from './scope.ts';
import type { Session } from './session.ts';

/** A stretch of a word after the expansions of parameters, before splitting and globbing. */
type Piece =
  | { readonly kind: 'text'; readonly text: string; readonly split?: true }
  | { readonly kind: 'glob'; readonly text: string }
  | { readonly kind: 'pattern'; readonly text: string; readonly pattern: string }
  | { readonly kind: 'unknown'; readonly code: FlagCode; readonly text: string; readonly loose: boolean }
  | { readonly kind: 'fields'; readonly fields: readonly Field[] };

/** What stands for a pipe: a write to it changes no file. */
const PIPE = '/dev/null';

/** The words that a word becomes: brace, tilde, parameter and command expansion, splitting and globbing. */
export function expandWord(session: Session, scope: Scope, word: Word): readonly Field[] {
  session.step();
  // Of `of=~/x` bash expands the tilde too.
  if (/^[A-Za-z_]\w*=(.*:)?~/s.test(word.text)) return [unknownField('variable', word.text)];
  const alternatives = bracedPieces(session, scope, word);
  if (alternatives === undefined) return [unknownField('brace', word.text, '', true)];
  return alternatives.flatMap((pieces) => fieldsOf(pieces, word.text));
}

/** The one word that the target of a redirect becomes; unknown if it may be several. */
export function expandTarget(session: Session, scope: Scope, word: Word): Field {
  const fields = expandWord(session, scope, word);
  return fields.length === 1 ? fields[0]! : unknownField('variable', word.text);
}

/** The value of an assignment, which is neither split nor globbed. */
export function expandValue(session: Session, scope: Scope, word: Word): Value {
  const pieces = piecesOf(session, scope, word, true);
  if (pieces.length === 1) {
    const only = pieces[0]!;
    if (only.kind === 'unknown' && only.code === 'arithmetic') return { kind: 'integer' };
    if (only.kind === 'pattern') return { kind: 'pattern', text: only.text, pattern: only.pattern };
  }
  let text = '';
  for (const piece of pieces) {
    if (piece.kind === 'unknown') return { kind: 'unknown', code: piece.code };
    if (piece.kind === 'fields' || piece.kind === 'pattern') return UNKNOWN;
    text += piece.text;
    if (text.length > LIMITS.commandLength) return UNKNOWN;
  }
  // In an assignment a tilde also counts after a colon.
  return word.text.includes(':~') ? UNKNOWN : { kind: 'text', text };
}

/** Evaluates what is nested in a node that is not expanded itself: substitutions, assignments, arithmetic. */
export function visitNested(session: Session, scope: Scope, node: SyntaxNode): void {
  session.step(node.end - node.pos);
  if (node.type === 'Script') {
    session.runNested(session, node, scope);
    return;
  }
  if (node.type === 'ParameterExpansion') judgeParameter(session, scope, node);
  if (node.type === 'ArithmeticExpansion') arithmetic(session, scope, arithmeticText(node.text));
  if ((node.type === 'CommandExpansion' || node.type === 'ProcessSubstitution') && node.script === undefined) {
    session.flag('unparseable', node.text);
  }
  session.nested(() => forEachChild(node, (child) => visitNested(session, scope, child)));
}

function arithmeticText(text: string): string {
  return text.startsWith('$((') ? text.slice(3, -2) : text.slice(2, -1);
}

function mayBeBraces(source: string): boolean {
  const text = source.replace(/\\./gs, '');
  const body: string = text.slice(text.indexOf('{') + 1, Math.max(0, text.lastIndexOf('}')));
  return text.includes('{') && /,|\.\./.test(body);
}

/** The pieces of each word that the braces make; undefined if they cannot be expanded. */
function bracedPieces(session: Session, scope: Scope, word: Word): readonly Piece[][] | undefined {
  let alternatives: Piece[][] = [[]];
  const parts = word.parts ?? [];
  if (!parts.some((part) => part.type === 'BraceExpansion')) {
    // A brace that the parser did not see and bash might: better flagged than missed.
    const literalText = parts.map((part) => (part.type === 'Literal' ? part.text : '')).join('') || word.text;
    const quoted = parts.length > 0 && parts.every((part) => part.type !== 'Literal');
    if (!quoted && mayBeBraces(literalText)) return undefined;
    return [piecesOf(session, scope, word, false)];
  }
  for (const [at, part] of parts.entries()) {
    const choices = part.type === 'BraceExpansion' ? expandBraces(part.text) : undefined;
    if (part.type === 'BraceExpansion' && (choices === undefined || part.parts !== undefined)) {
      visitNested(session, scope, word);
      return undefined;
    }
    const pieces = choices ? undefined : partPieces(session, scope, part, at === 0);
    const ways = choices?.map((text): Piece[] => [{ kind: 'text', text }]) ?? [pieces!];
    if (alternatives.length * ways.length > LIMITS.braceWords) return undefined;
    alternatives = alternatives.flatMap((before) => ways.map((way) => [...before, ...way]));
  }
  return alternatives.some((pieces) => pieces[0]?.kind === 'text' && pieces[0].text.startsWith('~'))
    ? undefined
    : alternatives;
}

function piecesOf(session: Session, scope: Scope, word: Word, assigned: boolean): Piece[] {
  if (word.parts === undefined) return tilde(scope, word.text, word.value, assigned);
  return word.parts.flatMap((part, at) => partPieces(session, scope, part, at === 0));
}

/** A tilde counts only unquoted and first; `source` is the text as written. */
function tilde(scope: Scope, source: string, value: string, assigned: boolean, continued = false): Piece[] {
  if (!source.startsWith('~')) return value === '' && !assigned ? [] : [{ kind: 'text', text: value }];
  const user = /^~[^/]*/.exec(source)![0];
  // `~"x"` is a user's name or no tilde at all, depending on the quotes.
  const whole = !continued || user.length < source.length;
  const home = user === '~' && whole ? scope.lookup('HOME') : user === '~+' ? workingDirectory(scope) : UNKNOWN;
  if (home.kind !== 'text') return [{ kind: 'unknown', code: 'variable', text: source, loose: false }];
  return [{ kind: 'text', text: home.text + value.slice(user.length) }];
}

function partPieces(session: Session, scope: Scope, part: WordPart, first: boolean): Piece[] {
  switch (part.type) {
    case 'Literal':
      return first ? tilde(scope, part.text, part.value, false, true) : [{ kind: 'text', text: part.value }];
    case 'Glob':
      if (part.kind === 'bracket' && part.text !== part.value) return unresolved(session, scope, part, 'glob', false);
      return [{ kind: 'glob', text: part.text }];
    case 'SingleQuoted':
      return [{ kind: 'text', text: part.value }];
    case 'AnsiCQuoted':
      // Bash ends the text at a NUL.
      if (part.value.includes('\0')) return [{ kind: 'unknown', code: 'variable', text: part.text, loose: false }];
      return [{ kind: 'text', text: part.value }];
    case 'DoubleQuoted':
    case 'LocaleString':
      return [{ kind: 'text', text: '' }, ...part.parts.flatMap((child) => quotedPieces(session, scope, child))];
    case 'SimpleExpansion':
    case 'ParameterExpansion':
      return parameterPieces(session, scope, part, false);
    case 'CommandExpansion':
      return commandPieces(session, scope, part, false);
    case 'ArithmeticExpansion':
      return [arithmeticPiece(session, scope, part)];
    case 'ProcessSubstitution':
      visitNested(session, scope, part);
      return [{ kind: 'text', text: PIPE }];
    case 'ExtendedGlob':
      return unresolved(session, scope, part, 'glob', true);
    case 'BraceExpansion':
      return unresolved(session, scope, part, 'brace', true);
  }
}

function quotedPieces(session: Session, scope: Scope, part: DoubleQuotedChild): Piece[] {
  switch (part.type) {
    case 'Literal':
      return [{ kind: 'text', text: part.value }];
    case 'SimpleExpansion':
    case 'ParameterExpansion':
      return parameterPieces(session, scope, part, true);
    case 'CommandExpansion':
      return commandPieces(session, scope, part, true);
    case 'ArithmeticExpansion':
      return [arithmeticPiece(session, scope, part)];
  }
}

function unresolved(session: Session, scope: Scope, part: WordPart, code: FlagCode, loose: boolean): Piece[] {
  visitNested(session, scope, part);
  return [{ kind: 'unknown', code, text: part.text, loose }];
}

function arithmeticPiece(session: Session, scope: Scope, part: ArithmeticExpansionPart): Piece {
  const { text } = part;
  forEachChild(part, (child) => visitNested(session, scope, child));
  const value = arithmetic(session, scope, arithmeticText(text));
  return { kind: 'unknown', code: value.kind === 'integer' ? 'arithmetic' : 'variable', text, loose: false };
}

/** `$(pwd)` is known; of any other command only its effects are. */
function commandPieces(
  session: Session,
  scope: Scope,
  part: Extract<WordPart, { type: 'CommandExpansion' }>,
  quoted: boolean,
): Piece[] {
  visitNested(session, scope, part);
  const here = workingDirectory(scope);
  if (/^(\$\(\s*pwd\s*\)|`\s*pwd\s*`)$/.test(part.text) && !scope.functions.has('pwd') && here.kind === 'text') {
    return [quoted ? { kind: 'text', text: here.text } : { kind: 'text', text: here.text, split: true }];
  }
  return [{ kind: 'unknown', code: 'command_substitution', text: part.text, loose: !quoted }];
}

function parameterPieces(session: Session, scope: Scope, part: ParameterPart, quoted: boolean): Piece[] {
  if (part.type === 'ParameterExpansion') visitNested(session, scope, part);
  const name = part.type === 'SimpleExpansion' ? part.text.slice(1) : part.parameter;
  const many = name === '@' || name === '*' || (part.type === 'ParameterExpansion' && part.index !== undefined);
  if (name === '@' && scope.positional !== undefined && isBare(part) && quoted) {
    return [{ kind: 'fields', fields: scope.positional }];
  }
  const value = many ? UNKNOWN : parameterValue(scope, part, name);
  if (value.kind === 'text') return [quoted ? { kind: 'text', text: value.text } : { ...value, split: true }];
  // Unquoted, a file's name with a blank in it becomes several words.
  if (value.kind === 'pattern' && quoted) return [value];
  if (value.kind === 'pattern') return [{ kind: 'unknown', code: 'glob', text: part.text, loose: true }];
  if (value.kind === 'integer') return [{ kind: 'unknown', code: 'arithmetic', text: part.text, loose: false }];
  const code = value.kind === 'unknown' ? value.code : 'variable';
  return [{ kind: 'unknown', code, text: part.text, loose: !quoted || many }];
}

/** Splits pieces into words where an unquoted value holds blanks, and makes a field of each word. */
function fieldsOf(pieces: readonly Piece[], source: string): Field[] {
  const words: Piece[][] = [];
  let current: Piece[] | undefined;
  const end = (): void => {
    if (current !== undefined) words.push(current);
    current = undefined;
  };
  for (const piece of pieces) {
    if (piece.kind === 'fields') {
      // Exact only where "$@" stands alone, which is how it is written.
      if (pieces.every((other) => other === piece || (other.kind === 'text' && other.text === '')))
        return [...piece.fields];
      return [unknownField('variable', source, '', true)];
    }
    if (piece.kind !== 'text' || piece.split === undefined) {
      (current ??= []).push(piece);
      continue;
    }
    if (/[*?[\\]/.test(piece.text)) return [unknownField('glob', source, '', true)];
    for (const [at, text] of piece.text.split(/[ \t\n]+/).entries()) {
      if (at > 0) end();
      if (text !== '') (current ??= []).push({ kind: 'text', text });
    }
  }
  end();
  return words.map((word) => fieldOf(word, source));
}

function fieldOf(pieces: readonly Piece[], source: string): Field {
  let text = '';
  let pattern = '';
  let globbed = false;
  for (const piece of pieces) {
    if (piece.kind === 'fields') continue;
    if (piece.kind === 'unknown') {
      const loose = pieces.some((other) => other.kind === 'unknown' && other.loose);
      return unknownField(piece.code === 'arithmetic' ? 'variable' : piece.code, source, globbed ? '' : text, loose);
    }
    text += piece.text;
    if (piece.kind === 'text') pattern += escapePattern(piece.text);
    else {
      const next = piece.kind === 'pattern' ? piece.pattern : globPattern(pattern, piece.text);
      if (next === undefined) return unknownField('glob', source, globbed ? '' : text.slice(0, -piece.text.length));
      globbed = true;
      pattern += next;
    }
  }
  return globbed ? { text, pattern: hideDots(pattern) } : { text };
}

/** Stands for a `*` at the start of a name until what follows it is known. */
const LEADING_STAR = '\u0000';

/** At the start of a name a wildcard of bash matches no dot; before another wildcard this is left open. */
function hideDots(pattern: string): string {
  const [first = '', ...rest] = pattern.split(LEADING_STAR);
  return rest.reduce((done, next) => {
    if (/^[[?*]/.test(next)) return `${done}*${next}`;
    return /^([/.]|$)/.test(next) ? `${done}[!.]*${next}` : `${done}{,[!.]*}${next}`;
  }, first);
}

/** A wildcard of bash as one of Signalbox. */
function globPattern(before: string, glob: string): string | undefined {
  if (glob === '*' && (before.endsWith(LEADING_STAR) || (before.endsWith('*') && !before.endsWith('\\*'))))
    return undefined;
  const starts = before === '' || before.endsWith('/');
  if (glob === '*') return starts ? LEADING_STAR : '*';
  if (glob === '?') return starts ? '[!.]' : '?';
  return /^\[[!^]?[\w.@ -]+\]$/.test(glob) ? glob : undefined;
}
