import type { Statement } from '../../../platform/database/pipeline.ts';
import { HELD_LEASE, HELD_WAITER, MOST_CANDIDATES } from '../../leases/index.ts';
import type { Named } from './named.ts';

/** In id order, so that two servers' batches cannot wait for each other. Those of named leases and tickets too. */
export function lockRepos(orgId: string, named: Named): Statement {
  const { text, values } = readRepos(orgId, named);
  return { name: 'lock_repos', text: `${text} FOR NO KEY UPDATE`, values };
}

export function readRepos(orgId: string, named: Named): Required<Statement> {
  return {
    name: 'read_repos',
    text: `SELECT p.id, p.name, p.case_sensitive FROM repo p
      WHERE p.org_id = $1 AND p.id = ANY ($2::uuid[] || ARRAY(SELECT l.repo_id FROM lease l WHERE l.org_id = $1 AND l.id = ANY ($3::uuid[]))
        || ARRAY(SELECT w.repo_id FROM lease_waiter w WHERE w.org_id = $1 AND w.id = ANY ($4::uuid[])))
      ORDER BY p.id`,
    values: [orgId, named.repoIds, named.leaseIds, named.ticketIds],
  };
}

/** Time is clock_timestamp(): now() is when the transaction began, before it waited for its locks. */
export function readHead(orgId: string, locked: boolean): Statement {
  // To ask for a transaction's id gives it one, which its commit then has to write down.
  const xid = locked ? 'pg_current_xact_id()::text' : `''`;
  return {
    name: locked ? 'read_head' : 'peek_head',
    text: `SELECT date_trunc('milliseconds', clock_timestamp()) AS now, h.seq, h.policy_version, h.halt_epoch, h.facts_version, o.settings, ${xid} AS xid,
        EXISTS (SELECT FROM lease_waiter w WHERE w.org_id = $1 AND w.status = 'waiting') AS some_wait
      FROM org_head h JOIN org o ON o.org_id = h.org_id WHERE h.org_id = $1`,
    values: [orgId],
  };
}

export function readKeys(orgId: string, keyIds: readonly string[]): Statement {
  return {
    name: 'live_keys',
    text: `SELECT k.id, (SELECT json_agg(json_build_object('id', t.id, 'name', t.name)) FROM team_member tm
        JOIN team t ON t.org_id = $1 AND t.id = tm.team_id WHERE tm.org_id = $1 AND tm.member_id = k.member_id) AS teams
      FROM api_key k WHERE k.org_id = $1 AND k.id = ANY ($2::uuid[]) AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())`,
    values: [orgId, keyIds],
  };
}

export function readLeases(orgId: string, leaseIds: readonly string[]): Statement {
  return {
    name: 'leases_by_id',
    text: `${HELD_LEASE} WHERE l.org_id = $1 AND l.id = ANY ($2::uuid[])`,
    values: [orgId, leaseIds],
  };
}

export function readLeasesSince(orgId: string, since: Named['since']): Statement {
  return {
    name: 'leases_since',
    text: `${HELD_LEASE} JOIN unnest($2::uuid[], $3::bigint[]) AS q (repo_id, known_to) ON l.repo_id = q.repo_id AND l.fence > q.known_to
      WHERE l.org_id = $1 AND (l.ended_at IS NULL OR l.end_reason = 'revoked') LIMIT ${MOST_CANDIDATES + 1}`,
    values: [orgId, since.map(({ repoId }) => repoId), since.map(({ knownTo }) => knownTo)],
  };
}

export function readWaitersSince(orgId: string, since: Named['since']): Statement {
  return {
    name: 'waiters_since',
    text: `${HELD_WAITER} JOIN unnest($2::uuid[], $3::bigint[]) AS q (repo_id, known_to) ON w.repo_id = q.repo_id AND w.seq > q.known_to
      WHERE w.org_id = $1 AND w.status = 'waiting' LIMIT ${MOST_CANDIDATES + 1}`,
    values: [orgId, since.map(({ repoId }) => repoId), since.map(({ knownTo }) => knownTo)],
  };
}

export function readTickets(orgId: string, ticketIds: readonly string[]): Statement {
  return {
    name: 'waiters_by_id',
    text: `${HELD_WAITER} WHERE w.org_id = $1 AND w.id = ANY ($2::uuid[])`,
    values: [orgId, ticketIds],
  };
}

export function readKept(orgId: string, keys: readonly { keyId: string; key: string }[]): Statement {
  return {
    name: 'kept_answers',
    text: `SELECT i.key_id, i.key, i.operation, i.fingerprint, i.status, i.response, l.fence
      FROM unnest($2::uuid[], $3::text[]) AS q (key_id, key)
      CROSS JOIN LATERAL (SELECT * FROM idempotency x WHERE x.org_id = $1 AND x.key_id = q.key_id AND x.key = q.key OFFSET 0) i
      LEFT JOIN lease l ON l.org_id = $1 AND l.id = i.lease_id`,
    values: [orgId, keys.map(({ keyId }) => keyId), keys.map(({ key }) => key)],
  };
}
