import { z } from 'zod';
import type { Connection } from './connection.ts';
import { Failure } from './failure.ts';
import { problemShape } from './shapes.ts';
import { plain } from './text.ts';

const TIMEOUT_MS = 30_000;
const PAGE_LIMIT = 500;

/** The server said no, in its own words. */
export class Refusal extends Failure {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(`${plain(detail)} (${plain(code)})`);
    this.status = status;
    this.code = code;
  }
}

type Query = Readonly<Record<string, string | undefined>>;

/** The HTTP API as the commands use it. What it returns is what the server sent, unchanged, once it fits the shape. */
export class Api {
  readonly #connection: Connection;
  #serverNow: Date | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The server's time as of its latest answer, to the second: this machine's clock may be another. */
  now(): Date {
    return this.#serverNow ?? new Date();
  }

  /**
   * All entries of a list, page by page.
   * @throws Refusal when the server says no, Failure when there is no answer or none that makes sense
   */
  async list<T extends z.ZodType>(path: string, shape: T, query: Query = {}): Promise<z.output<T>[]> {
    const page = z.looseObject({ items: z.array(shape), nextCursor: z.string().nullable() });
    const items: z.output<T>[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const search = new URLSearchParams({ limit: String(PAGE_LIMIT) });
      const asked = { ...query, cursor };
      for (const [name, value] of Object.entries(asked)) if (value !== undefined) search.set(name, value);
      const answer: z.output<typeof page> = await this.#send('GET', `${path}?${search.toString()}`, page);
      items.push(...answer.items);
      cursor = answer.nextCursor;
    }
    return items;
  }

  /** @throws as `list` */
  async post<T extends z.ZodType>(path: string, body: object, shape: T): Promise<z.output<T>> {
    return this.#send('POST', path, shape, body);
  }

  /** @throws as `list` */
  async get<T extends z.ZodType>(path: string, shape: T): Promise<z.output<T>> {
    return this.#send('GET', path, shape);
  }

  /** An answer that is text. @throws as `list` */
  async text(path: string): Promise<string> {
    const { response, text } = await this.#exchange('GET', path);
    if (!response.ok) throw this.#refusal(response, parse(text));
    return text;
  }

  async #send<T extends z.ZodType>(method: string, path: string, shape: T, body?: object): Promise<z.output<T>> {
    const { response, text } = await this.#exchange(method, path, body);
    const date = Date.parse(response.headers.get('date') ?? '');
    if (!Number.isNaN(date)) this.#serverNow = new Date(date);
    const answer = parse(text);
    if (!response.ok) throw this.#refusal(response, answer);
    const checked = shape.safeParse(answer);
    if (checked.success) return answer as z.output<T>;
    const [issue] = checked.error.issues;
    throw new Failure(
      `${this.#connection.url} answered something else than this version expects (${issue!.path.join('.')}: ${plain(issue!.message)})`,
    );
  }

  async #exchange(method: string, path: string, body?: object): Promise<{ response: Response; text: string }> {
    const { url, key } = this.#connection;
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    try {
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${key}`, accept: 'application/json', ...type },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // The key goes to the server that was named, and nowhere else.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return { response, text: await response.text() };
    } catch (error) {
      throw new Failure(`no answer from ${url}: ${reasonOf(error)}`);
    }
  }

  #refusal(response: Response, answer: unknown): Failure {
    const problem = problemShape.safeParse(answer);
    if (problem.success) return new Refusal(response.status, problem.data.code, problem.data.detail);
    const { url } = this.#connection;
    if (response.status >= 300 && response.status < 400) {
      return new Failure(
        `${url} redirects to ${plain(response.headers.get('location') ?? 'nowhere')}: name that server itself`,
      );
    }
    return new Failure(`${url} answered ${response.status}, and not as Signalbox does`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch` says "fetch failed"; the reason lies below, for a name with several addresses in the errors of each. */
function reasonOf(error: unknown): string {
  if ((error as Error).name === 'TimeoutError') return `nothing within ${TIMEOUT_MS / 1000} seconds`;
  let cause = error as { cause?: unknown; errors?: unknown[]; code?: unknown; message?: string };
  while (cause.cause instanceof Error) cause = cause.cause;
  if (cause.errors?.[0] instanceof Error) cause = cause.errors[0];
  if (cause.code === 'ECONNREFUSED') return 'connection refused; is the server running?';
  return plain(cause.message ?? String(error));
}
