import type { WantedIn } from '../../leases/index.ts';
import type { HotOperation } from './operation.ts';

/** What a batch names, each once: what has to be read for it. */
export interface Named {
  readonly repoIds: string[];
  readonly leaseIds: string[];
  /** Of those, the ones whose runs have to be known: they are heard of by a renewal, or said to be in some epoch. */
  readonly spokenForIds: string[];
  readonly ticketIds: string[];
  readonly keyIds: string[];
  readonly runIds: string[];
  readonly wanted: WantedIn[];
  /** Repos in which a search without the lock has looked already, with the log's end then. */
  readonly since: { repoId: string; knownTo: number }[];
  readonly idempotency: { keyId: string; key: string }[];
}

export function collect(ops: readonly HotOperation[]): Named {
  const repoIds = new Set<string>();
  const leaseIds = new Set<string>();
  const spokenForIds = new Set<string>();
  const ticketIds = new Set<string>();
  const keyIds = new Set<string>();
  const runIds = new Set<string>();
  const wanted: WantedIn[] = [];
  const since: Named['since'] = [];
  const idempotency: { keyId: string; key: string }[] = [];
  for (const op of ops) {
    const { keyId } = op.principal;
    if (keyId !== null) keyIds.add(keyId);
    if (keyId !== null && op.idempotent !== null) idempotency.push({ keyId, key: op.idempotent.key });
    if (op.kind === 'renew' || op.kind === 'release' || op.kind === 'revoke') {
      leaseIds.add(op.leaseId);
      if (op.kind === 'renew' || (op.kind === 'release' && op.epoch !== undefined)) spokenForIds.add(op.leaseId);
      continue;
    }
    if ('ticketId' in op && op.ticketId !== null) ticketIds.add(op.ticketId);
    if (op.kind === 'cancel') continue;
    if (op.repo !== null) repoIds.add(op.repo.id);
    if (op.runId !== null) runIds.add(op.runId);
    if (op.repo === null || op.wanted === null) continue;
    const { searched } = op;
    if (searched === undefined) wanted.push({ repoId: op.repo.id, matchers: op.wanted.matchers });
    else {
      since.push({ repoId: op.repo.id, knownTo: searched.knownTo });
      for (const id of searched.leaseIds) leaseIds.add(id);
      for (const id of searched.ticketIds) ticketIds.add(id);
    }
  }
  return {
    repoIds: [...repoIds],
    leaseIds: [...leaseIds],
    spokenForIds: [...spokenForIds],
    ticketIds: [...ticketIds],
    keyIds: [...keyIds],
    runIds: [...runIds],
    wanted,
    since,
    idempotency,
  };
}
