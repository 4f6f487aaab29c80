import { isDeepStrictEqual } from 'node:util';
import type { Reply } from '../../../support/server.ts';
import { Mismatch } from './demand.ts';
import { judge } from './judge.ts';
import { hearRefused, type Model, settle } from './reference.ts';
import type { Step } from './steps.ts';

export interface Answered {
  readonly step: Step;
  readonly reply: Reply;
}

/** How far an order has got. */
interface Part {
  readonly m: Model;
  readonly left: readonly Answered[];
}

/**
 * What the model may be after requests that were sent at once: each way in which all of their answers are right one after the
 * other. Between two of them turns may be given, and a refusal be heard of, or not yet.
 */
export function inAnyOrder(
  m: Model,
  answered: readonly Answered[],
): { readonly models: Model[]; readonly problems: string[] } {
  const problems: string[] = [];
  let parts: Part[] = [{ m, left: answered }];
  for (let next = 1; next <= answered.length; next += 1) {
    parts = distinct(parts.flatMap((part) => oneMore(part, problems)));
    if (next < answered.length) parts = distinct(parts.flatMap(meanwhile));
  }
  return { models: parts.map((part) => part.m), problems };
}

/** Whichever of those left comes next. */
function oneMore({ m, left }: Part, problems: string[]): Part[] {
  return left.flatMap((next) => {
    const then = structuredClone(m);
    try {
      judge(then, next.step, next.reply, false);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      problems.push(`${next.step.kind} with ${left.length - 1} to come: ${error.message}`);
      return [];
    }
    return [{ m: then, left: left.filter((one) => one !== next) }];
  });
}

function meanwhile({ m, left }: Part): Part[] {
  const [heard, settledToo, settledOnly] = [structuredClone(m), structuredClone(m), structuredClone(m)];
  hearRefused(heard);
  hearRefused(settledToo);
  settle(settledToo);
  settle(settledOnly);
  return [m, heard, settledToo, settledOnly].map((then) => ({ m: then, left }));
}

const distinct = (parts: readonly Part[]): Part[] =>
  parts.filter((part, at) => parts.findIndex((other) => isDeepStrictEqual(other, part)) === at);
