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
  const sent = statements.map(({ name, text, values }) =>
    client.query({
      text,
      ...(name === undefined ? {} : { name }),
      ...(values === undefined ? {} : { values: [...values] }),
    }),
  );
  const answers = await Promise.allSettled(sent);
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  return answers.map((answer) => (answer as PromiseFulfilledResult<pg.QueryResult>).value);
}
