import type { CodeOf, ProblemCode, ProblemStatus } from './problem-codes.ts';

/** One refused part of a request: where it stands, and why it was refused. */
export interface ProblemDetail {
  readonly path: string;
  readonly reason: string;
  readonly line?: number | null;
  readonly column?: number | null;
}

export interface ProblemExtras {
  readonly errors?: readonly ProblemDetail[];
  readonly [member: string]: unknown;
}

/** What makes a problem: a status, and one of its own codes. */
type Told = {
  [S in ProblemStatus]: [
    status: S,
    code: CodeOf<S>,
    detail: string,
    extras?: ProblemExtras | undefined,
    headers?: Record<string, string>,
  ];
}[ProblemStatus];

/**
 * An error that a client is told about, as RFC 9457 describes. `code` is stable and part of the contract, one that its
 * status has in `problem-codes.ts`; `detail` is a sentence for whoever reads it and may change. Anything thrown that is not
 * a Problem is our failure: 500, and logged.
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: ProblemStatus;
  readonly code: ProblemCode;
  readonly extras: ProblemExtras;
  readonly headers: Readonly<Record<string, string>>;

  constructor(...told: Told);
  constructor(
    status: ProblemStatus,
    code: ProblemCode,
    detail: string,
    extras: ProblemExtras = {},
    headers: Record<string, string> = {},
  ) {
    // Where in our code a request was refused tells nobody anything, and to find it out takes longer than most refusals.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = stackTraceLimit;
    this.status = status;
    this.code = code;
    this.extras = extras;
    this.headers = headers;
  }

  /** The body of the answer, `application/problem+json`. */
  toBody(): Record<string, unknown> {
    return {
      type: 'about:blank',
      title: TITLES[this.status] ?? 'Error',
      status: this.status,
      code: this.code,
      detail: this.message,
      ...this.extras,
    };
  }
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Too slow',
  409: 'Conflict',
  413: 'Too large',
  414: 'Address too long',
  415: 'Unsupported media type',
  422: 'Not acceptable as it stands',
  429: 'Too many requests',
  431: 'Headers too large',
  500: 'Internal error',
  503: 'Not available',
};

/** 404, the same words for what does not exist and for what the caller may not see: the difference would tell. */
export const notFound = (what: string): Problem => new Problem(404, 'not_found', `No such ${what}.`);

export const unauthenticated = (detail: string): Problem =>
  new Problem(401, 'unauthenticated', detail, {}, { 'www-authenticate': 'Bearer realm="signalbox"' });

export const forbidden = (detail: string, code: CodeOf<403> = 'forbidden'): Problem => new Problem(403, code, detail);

export const conflict = (code: CodeOf<409>, detail: string, extras?: ProblemExtras): Problem =>
  new Problem(409, code, detail, extras);

export const invalid = (code: CodeOf<422>, detail: string, errors?: readonly ProblemDetail[]): Problem =>
  new Problem(422, code, detail, errors === undefined ? {} : { errors });

export const busy = (detail: string): Problem =>
  new Problem(429, 'too_many_requests', detail, {}, { 'retry-after': '1' });

export const unavailable = (detail: string): Problem =>
  new Problem(503, 'unavailable', detail, {}, { 'retry-after': '1' });

/** Somebody's words as a sentence of ours: with one stop at its end. */
export function asSentence(words: string): string {
  return /[.!?…]\s*$/u.test(words) ? words.trimEnd() : `${words.trimEnd()}.`;
}
