import type { Reply } from '../../../support/server.ts';

/** The server answered otherwise than the model. */
export class Mismatch extends Error {}

export function demand(isSo: boolean, expected: string, got: unknown): asserts isSo {
  if (!isSo) throw new Mismatch(`expected ${expected}, got ${JSON.stringify(got)}`);
}

export function demandAnswer({ status, body }: Reply, expected: number, code: string | null): void {
  const isSo = status === expected && (code === null || body?.code === code);
  demand(isSo, `${expected} ${code ?? ''}`, { status, body });
}
