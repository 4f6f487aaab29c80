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

/**
 * Sends all statements in one flush and waits for all answers. Each runs as a statement of its own, in order, with its
 * own snapshot.
 * @throws the first statement's error; those after it in the same transaction have failed with it.
 */
export async function flush(client: pg.PoolClient, statements: readonly Statement[]): Promise<pg.QueryResult[]> {
  // The driver writes each statement to the socket by itself; corked, all of them are one system call.
  const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection;
  stream.cork();
  const sent = statements.map(({ name, text, values }) =>
    client.query({
      text,
      ...(name === undefined ? {} : { name }),
      ...(values === undefined ? {} : { values: [...values] }),
    }),
  );
  stream.uncork();
  const answers = await Promise.allSettled(sent);
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  return answers.map((answer) => (answer as PromiseFulfilledResult<pg.QueryResult>).value);
}
