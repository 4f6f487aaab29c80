import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LATE_MS, SURELY_LATE_MS } from '../../../src/modules/admission/hot/one-call/lost-call.ts';
import { orgSettings, orgSettingsPatch } from '../../../src/modules/identity/settings.ts';
import { KEPT_HOURS } from '../../../src/modules/leases/waiting/due.ts';
import { IDEMPOTENCY_KEPT_HOURS } from '../../../src/platform/housekeeping.ts';
import { createTestDatabase, type TestDatabase, withClient } from '../../support/database.ts';

/** What functions of the database and the server must agree on, as the last migration has left it. */
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

/** The number that a function has in the one place where `pattern` finds it. */
async function numberIn(name: string, pattern: RegExp): Promise<number> {
  const { rows } = await withClient(database.url, (client) =>
    client.query<{ text: string }>('SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE proname = $1', [name]),
  );
  expect(rows).toHaveLength(1);
  const found = [...rows[0]!.text.matchAll(new RegExp(pattern, 'g'))];
  expect(found.map(([all]) => all)).toHaveLength(1);
  return Number(found[0]![1]);
}

/** The least that is accepted. */
function leastOf(accepts: (value: number) => boolean): number {
  return Array.from({ length: 1000 }, (_, value) => value).find(accepts)!;
}

describe('the database and the server agree on', () => {
  it('when a call is late', async () => {
    const seconds = await numberIn('hot_once', /IF abs\(extract\(epoch FROM now_ - p_decided_at\)\) > ([\d.]+) THEN/);
    expect(LATE_MS).toBe(seconds * 1000);
    expect(SURELY_LATE_MS).toBeGreaterThan(LATE_MS);
  });

  it('how long answers and settled tickets are kept', async () => {
    expect(await numberIn('chores_due', /i\.created_at < clock_timestamp\(\) - interval '(\d+) hours'/)).toBe(
      IDEMPOTENCY_KEPT_HOURS,
    );
    expect(await numberIn('chores_due', /w\.settled_at < clock_timestamp\(\) - interval '(\d+) hours'/)).toBe(
      KEPT_HOURS,
    );
  });

  it('how long a run is silent at least before it counts as stalled', async () => {
    const seconds = await numberIn('chores_due', /r\.last_beat_at < clock_timestamp\(\) - interval '(\d+) seconds'/);
    for (const schema of [orgSettings, orgSettingsPatch])
      expect(leastOf((stallSeconds) => schema.safeParse({ stallSeconds }).success)).toBe(seconds);
  });
});
