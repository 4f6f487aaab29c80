-- Whether leases that a server remembers are still held as it knows them, at one moment and in one call: a transaction of
-- four statements, each with its own messages, cost more than what it read.
--
-- p_keys, p_runs: of those who ask. p_leases, p_fences: the leases. p_repos, p_wanted: what they are thought to hold, by lease_key.key,
-- as lines of text, and of each key the repo.
-- now_: the moment, in milliseconds since 1970. policy_version, halt_epoch, facts_version: as in org_head; null for an org that is not there.
-- asking: whether those keys are valid and those runs are running. more: whether there is something that would have to be
-- told besides, or first: another lease of the same run is on one of those keys, a lease on a pattern may be, somebody waits, or a
-- lease was revoked that is still in the way of its own run.
-- expiries: in milliseconds since 1970, separated by commas, in the order of the leases; empty for one that is not held any more.
CREATE FUNCTION still_held(p_org uuid, p_keys uuid[], p_runs uuid[], p_leases uuid[], p_fences bigint[], p_repos uuid[], p_wanted text,
  OUT now_ bigint, OUT policy_version bigint, OUT halt_epoch bigint, OUT facts_version bigint, OUT asking boolean, OUT more boolean,
  OUT expiries text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  entered text := set_config('signalbox.org_id', p_org::text, true);
BEGIN
  SELECT (extract(epoch FROM date_trunc('milliseconds', clock_timestamp())) * 1000)::bigint,
    h.policy_version, h.halt_epoch, h.facts_version,
    (SELECT count(*) FROM unnest(p_keys) AS q (id)
      CROSS JOIN LATERAL (SELECT k.revoked_at, k.expires_at FROM api_key k WHERE k.org_id = p_org AND k.id = q.id OFFSET 0) k
      WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())) = cardinality(p_keys)
    AND (SELECT count(*) FROM unnest(p_runs) AS q (id)
      CROSS JOIN LATERAL (SELECT r.status FROM run r WHERE r.org_id = p_org AND r.id = q.id OFFSET 0) r
      WHERE r.status = 'running') = cardinality(p_runs),
    EXISTS (
      SELECT FROM unnest(p_repos, string_to_array(p_wanted, E'\n')) AS q (repo, key)
      CROSS JOIN LATERAL (SELECT x.lease_id FROM lease_key x WHERE x.org_id = p_org AND x.repo_id = q.repo AND x.key = q.key COLLATE "C" OFFSET 0) k
      WHERE k.lease_id <> ALL (p_leases)
    )
    OR EXISTS (
      SELECT FROM (SELECT DISTINCT r.id FROM unnest(p_repos) AS r (id)) q
      CROSS JOIN LATERAL (SELECT FROM lease_key x WHERE x.org_id = p_org AND x.repo_id = q.id AND x.kind = 'pattern' LIMIT 1) k
    )
    OR EXISTS (SELECT FROM lease_waiter w WHERE w.org_id = p_org AND w.status = 'waiting')
    OR EXISTS (SELECT FROM lease l WHERE l.org_id = p_org AND l.end_reason = 'revoked'
      AND l.ended_at > clock_timestamp() - interval '25 hours' AND l.expires_at > clock_timestamp()),
    array_to_string(ARRAY(
      SELECT CASE WHEN l.ended_at IS NULL AND l.fence = q.fence AND r.status <> 'finished'
        THEN (extract(epoch FROM l.expires_at) * 1000)::bigint END
      FROM unnest(p_leases, p_fences) WITH ORDINALITY AS q (id, fence, n)
      LEFT JOIN LATERAL (SELECT * FROM lease x WHERE x.org_id = p_org AND x.id = q.id OFFSET 0) l ON true
      LEFT JOIN LATERAL (SELECT x.status FROM run x WHERE x.org_id = p_org AND x.id = l.run_id OFFSET 0) r ON true
      ORDER BY q.n), ',', '')
  INTO now_, policy_version, halt_epoch, facts_version, asking, more, expiries
  FROM org_head h WHERE h.org_id = p_org;
END $$;

REVOKE ALL ON FUNCTION still_held(uuid, uuid[], uuid[], uuid[], bigint[], uuid[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION still_held(uuid, uuid[], uuid[], uuid[], bigint[], uuid[], text) TO signalbox_app;
