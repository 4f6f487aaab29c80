import type { Duplex } from 'node:stream';
import type pg from 'pg';

/**
 * A statement for a pipelined connection. With a name it is prepared once a connection.
 */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** An array parameter of numbers or ids. The driver's own way, which minds every character, costs more than a statement. */
export function arrayText(values: readonly (number | string)[]): string {
  return `{${values.join(',')}}`;
}

/**
 * Sends all statements in one flush and waits for all answers. Each runs as a statement of its own, in order, with its
 * own snapshot.
 * @throws the first statement's error; those after it in the same transaction have failed with it.
 */
export async function flush(client: pg.PoolClient, statements: readonly Statement[]): Promise<pg.QueryResult[]> {
  const sent = inOneWrite(client, () =>
    statements.map(({ name, text, values }) =>
      client.query({
        text,
        ...(name === undefined ? {} : { name }),
        ...(values === undefined ? {} : { values: [...values] }),
      }),
    ),
  );
  const answers = await Promise.allSettled(sent);
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  return answers.map((answer) => (answer as PromiseFulfilledResult<pg.QueryResult>).value);
}

/** The driver writes every message of every statement by itself; system calls are what a small batch costs most. */
function inOneWrite<T>(client: pg.PoolClient, send: () => T): T {
  const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection;
  stream.cork();
  try {
    return send();
  } finally {
    stream.uncork();
  }
}

/** As `flush`, in the order of the members; those that are null are left out, and have no result. */
export async function flushNamed<K extends string>(
  client: pg.PoolClient,
  statements: Readonly<Record<K, Statement | null>>,
): Promise<Partial<Record<K, pg.QueryResult>>> {
  const named = Object.entries<Statement | null>(statements).filter(
    (entry): entry is [K, Statement] => entry[1] !== null,
  );
  const results = await flush(
    client,
    named.map(([, statement]) => statement),
  );
  return Object.fromEntries(named.map(([name], index) => [name, results[index]])) as Partial<Record<K, pg.QueryResult>>;
}
