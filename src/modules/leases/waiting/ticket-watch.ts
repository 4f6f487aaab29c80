import type { Database } from '../../../platform/database/database.ts';
import { systemPrincipal } from '../../../platform/principal.ts';
import { SettledWatch, type WatchDeps } from '../../../platform/settled-watch.ts';

/** Waits for tickets that are settled, or whose admission may be asked for again, on any server. */
export function createTicketWatch({
  db,
  signal,
  clock,
}: Omit<WatchDeps, 'look'> & { readonly db: Database }): SettledWatch {
  const look = async (orgId: string, ids: readonly string[]) => {
    const rows = await db.read(
      systemPrincipal(orgId),
      (tx) => tx.db.$queryRaw<{ id: string }[]>`
        SELECT q.id::text AS id FROM unnest(${ids}::uuid[]) AS q (id)
        LEFT JOIN lease_waiter w ON w.org_id = ${orgId}::uuid AND w.id = q.id
        WHERE w.id IS NULL OR w.status <> 'waiting' OR w.kind = 'admission' AND w.blocked_by IS NULL`,
    );
    return rows.map(({ id }) => id);
  };
  return new SettledWatch({ signal, clock, look });
}
