import type { Redirection } from 'unbash';
import { expandTarget, expandWord, visitNested } from './expand.ts';
import type { Field } from './field.ts';
import { textOf } from './field.ts';
import type { Scope } from './scope.ts';
import type { Session } from './session.ts';
import { isDevice, settleWrite } from './settle.ts';

/**
 * Records what a command's redirects write. True if none of them can fail, so that the command certainly runs.
 */
export function redirects(session: Session, scope: Scope, list: readonly Redirection[]): boolean {
  let certain = true;
  for (const redirect of list) {
    if (redirect.type === 'HereDoc') {
      for (const part of redirect.body.parts ?? []) visitNested(session, scope, part);
      if (redirect.closing === undefined)
        session.flag('unparseable', `here-document ${redirect.delimiter?.text ?? ''}`);
      continue;
    }
    if (redirect.target === undefined) {
      session.flag('unparseable', redirect.operator);
      continue;
    }
    if (redirect.type === 'HereString') visitNested(session, scope, redirect.target);
    else {
      const target = expandTarget(session, scope, redirect.target);
      const descriptor = redirect.descriptor?.type === 'FileDescriptor' ? redirect.descriptor.value : undefined;
      if (redirect.descriptor?.type === 'FileDescriptorVariable') session.hide(scope, redirect.descriptor.name);
      openFile(session, scope, redirect.operator, descriptor, target);
      certain &&= isDevice(target) || isDescriptor(redirect.operator, target);
    }
  }
  return certain;
}

function isDescriptor(operator: string, target: Field): boolean {
  return operator.endsWith('&') && /^([0-9]+-?|-)$/.test(textOf(target) ?? '');
}

function openFile(
  session: Session,
  scope: Scope,
  operator: string,
  descriptor: number | undefined,
  target: Field,
): void {
  if (operator === '<' || operator === '<&') {
    // `1< file` makes /dev/stdout a name of that file.
    if (descriptor === 1 || descriptor === 2) session.flag('link', `${descriptor}${operator} ${target.text}`);
    return;
  }
  if (isDescriptor(operator, target)) return;
  // zsh reads `>! file` as `>| file`.
  if (target.text === '!') session.flag('unparseable', '>!');
  settleWrite(session, scope, { do: 'edit', target, by: 'redirect' });
}

/** The text that a command reads, if a here-document or here-string gives it literally. */
export function standardInput(session: Session, scope: Scope, list: readonly Redirection[]): string | undefined {
  const inputs = list.filter((redirect) => redirect.operator.startsWith('<'));
  const only = inputs.length === 1 ? inputs[0]! : undefined;
  if (only === undefined || (only.descriptor !== undefined && !isZero(only))) return undefined;
  if (only.type === 'HereString') {
    const fields = only.target === undefined ? [] : expandWord(session, scope, only.target);
    return fields.length === 1 ? textOf(fields[0]) : undefined;
  }
  if (only.type !== 'HereDoc' || only.closing === undefined) return undefined;
  if (only.operator === '<<-') return undefined;
  if (only.delimiter?.quoted) return only.body.text;
  return /[\\$`]/.test(only.body.text) ? undefined : only.body.text;
}

function isZero(redirect: Redirection): boolean {
  return redirect.descriptor?.type === 'FileDescriptor' && redirect.descriptor.value === 0;
}
