import pg from 'pg';

/**
 * Compares what clients were answered with the org's log, straight from the database: a figure counts only if every grant
 * that it is made of is an event of its own, committed.
 */
export class LogCheck {
  readonly #client: pg.Client;
  readonly #orgId: string;

  private constructor(client: pg.Client, orgId: string) {
    this.#client = client;
    this.#orgId = orgId;
  }

  static async open(url: string, orgId: string): Promise<LogCheck> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    // Row-level security is forced: the owner of the tables sees nothing either without this.
    await client.query(`SELECT set_config('signalbox.org_id', $1, false)`, [orgId]);
    return new LogCheck(client, orgId);
  }

  async seq(): Promise<number> {
    const { rows } = await this.#client.query('SELECT seq FROM org_head WHERE org_id = $1', [this.#orgId]);
    return Number((rows[0] as { seq: string }).seq);
  }

  /** How many events of each kind there are after `seq`. */
  async since(seq: number): Promise<Map<string, number>> {
    const { rows } = await this.#client.query<{ kind: string; count: string }>(
      'SELECT kind, count(*) FROM event WHERE org_id = $1 AND seq > $2 GROUP BY kind',
      [this.#orgId, seq],
    );
    return new Map(rows.map(({ kind, count }) => [kind, Number(count)]));
  }

  /** @throws Error unless there are exactly so many events of these kinds after `seq` */
  async expect(seq: number, counts: Readonly<Record<string, number>>): Promise<void> {
    const found = await this.since(seq);
    for (const [kind, expected] of Object.entries(counts)) {
      const count = found.get(kind) ?? 0;
      if (count !== expected) throw new Error(`${expected} answers, but ${count} events ${kind}`);
    }
  }

  /** Leases of a repo whose time is not over and that nobody ended. */
  async liveLeases(repo: string): Promise<number> {
    const { rows } = await this.#client.query<{ count: string }>(
      `SELECT count(*) FROM lease l JOIN repo p ON p.org_id = l.org_id AND p.id = l.repo_id
       WHERE l.org_id = $1 AND p.name = $2 AND l.ended_at IS NULL AND l.expires_at > clock_timestamp()`,
      [this.#orgId, repo],
    );
    return Number(rows[0]!.count);
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}
