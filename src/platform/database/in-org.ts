import type pg from 'pg';
import { flush, type Statement } from './pipeline.ts';

/** Shows the rest of a transaction the rows of one org: what row-level security goes by. */
export function enterOrg(orgId: string): Statement {
  return { name: 'set_org', text: `SELECT set_config('signalbox.org_id', $1, true)`, values: [orgId] };
}

/** Begins a transaction in which rows of the org are seen. */
export async function beginInOrg(client: pg.PoolClient, orgId: string): Promise<void> {
  await flush(client, [{ text: 'BEGIN' }, enterOrg(orgId)]);
}

/** Reads in one flush, in a transaction that ends with it. Each statement sees its own moment. Returns the rows of each. */
export async function readInOrg(
  client: pg.PoolClient,
  orgId: string,
  statements: readonly Statement[],
): Promise<unknown[][]> {
  const answers = await flush(client, [{ text: 'BEGIN' }, enterOrg(orgId), ...statements, { text: 'COMMIT' }]);
  return answers.slice(2, -1).map(({ rows }) => rows as unknown[]);
}
