import type { Automaton } from './automaton.ts';
import { hasPoint } from './char-set.ts';

/**
 * The states in which `automaton` may be after `text` from `offset` on, beginning in its start states. Each state
 * is listed once, so the cost is bounded by length times transitions, whatever the stars.
 */
export function statesAfter(automaton: Automaton, text: string, offset: number): readonly number[] {
  let current = [...automaton.starts];
  const entered = new Int32Array(automaton.accepts.length).fill(-1);
  for (let at = offset; at < text.length && current.length > 0; ) {
    const point = text.codePointAt(at)!;
    const next: number[] = [];
    for (const state of current) {
      const end = automaton.first[state + 1]!;
      for (let edge = automaton.first[state]!; edge < end; edge++) {
        const target = automaton.targets[edge]!;
        if (entered[target] === at || !takes(automaton, edge, point)) continue;
        entered[target] = at;
        next.push(target);
      }
    }
    current = next;
    at += point > 0xffff ? 2 : 1;
  }
  return current;
}

/** Whether the automaton accepts the whole of a valid path (a folded one, if it was compiled so). */
export function acceptsPath(automaton: Automaton, text: string): boolean {
  if (!text.startsWith(automaton.prefix)) return false;
  return statesAfter(automaton, text, automaton.prefix.length).some((state) => automaton.accepts[state] === 1);
}

function takes(automaton: Automaton, edge: number, point: number): boolean {
  const label = automaton.labels[edge]!;
  return label >= 0 ? label === point : hasPoint(automaton.sets[~label]!, point);
}
