import type { Database } from '../../platform/database/database.ts';
import { systemPrincipal } from '../../platform/principal.ts';
import { SettledWatch, type WatchDeps } from '../../platform/settled-watch.ts';

/** Waits for approvals that are pending, on any server. */
export class ApprovalWatch extends SettledWatch {
  constructor({ db, signal, clock }: Omit<WatchDeps, 'look'> & { readonly db: Database }) {
    super({ signal, clock, look: (orgId, ids) => settledApprovals(db, orgId, ids) });
  }
}

async function settledApprovals(db: Database, orgId: string, ids: readonly string[]): Promise<string[]> {
  const rows = await db.read(
    systemPrincipal(orgId),
    (tx) => tx.db.$queryRaw<{ id: string }[]>`
      SELECT id::text AS id FROM approval WHERE org_id = ${orgId}::uuid AND id = ANY (${ids}::uuid[])
        AND (status <> 'pending' OR expires_at <= clock_timestamp())`,
  );
  return rows.map(({ id }) => id);
}
