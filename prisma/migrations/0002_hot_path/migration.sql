-- Everything one hot batch writes, in one call: rows first, then the head (append_events), then what needed a number.
-- p_batch holds JSON arrays, each as its INSERT below reads it; absent ones are skipped. Errors roll the batch back:
--   SB001  policy version or halt epoch moved, a run ended, an approval was taken: decide again
--   23505  an idempotency key or an approval digest is another batch's: load it and decide again
-- Returns the seq of the batch's first event.
CREATE FUNCTION hot_write(p_org uuid, p_policy bigint, p_halt bigint, p_batch jsonb)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  first_seq bigint;
  touched bigint;
BEGIN
  IF p_batch ? 'beats' THEN
    -- In id order, so that two servers' batches cannot wait for each other.
    PERFORM 1 FROM run r WHERE r.org_id = p_org AND r.id IN (SELECT value::uuid FROM jsonb_array_elements_text(p_batch -> 'beats'))
      ORDER BY r.id FOR NO KEY UPDATE;
    UPDATE run r SET last_beat_at = clock_timestamp(), status = 'running'
      WHERE r.org_id = p_org AND r.status <> 'finished'
        AND r.id IN (SELECT value::uuid FROM jsonb_array_elements_text(p_batch -> 'beats'));
  END IF;
  IF p_batch ? 'idempotency' THEN
    INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, response, lease_id, created_at)
      SELECT p_org, i.key_id, i.key, i.operation, decode(i.fingerprint, 'hex'), i.status, i.response, i.lease_id, i.at
      FROM jsonb_to_recordset(p_batch -> 'idempotency')
        AS i (key_id uuid, key text, operation text, fingerprint text, status int, response text, lease_id uuid, at timestamptz);
  END IF;
  IF p_batch ? 'decisions' THEN
    INSERT INTO decision (org_id, id, at, action, subject, actor, run_id, loop_id, outcome, ungoverned, rules, shadow,
        policy_version, approval_id)
      SELECT p_org, d.id, d.at, d.action, d.subject, d.actor, d.run_id, d.loop_id, d.outcome, d.ungoverned, d.rules, d.shadow,
        p_policy, d.approval_id
      FROM jsonb_to_recordset(p_batch -> 'decisions')
        AS d (id uuid, at timestamptz, action text, subject jsonb, actor jsonb, run_id uuid, loop_id uuid, outcome text,
          ungoverned boolean, rules jsonb, shadow jsonb, approval_id uuid);
  END IF;
  IF p_batch ? 'approvalEnds' THEN
    UPDATE approval a SET status = e.status, settled_at = coalesce(a.settled_at, e.at), spent_at = CASE WHEN e.status = 'spent' THEN e.at END,
        spent_by = e.run_id
      FROM jsonb_to_recordset(p_batch -> 'approvalEnds') AS e (id uuid, status text, expected text, at timestamptz, run_id uuid)
      WHERE a.org_id = p_org AND a.id = e.id AND a.status = e.expected;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> jsonb_array_length(p_batch -> 'approvalEnds') THEN
      RAISE EXCEPTION 'an approval changed meanwhile' USING ERRCODE = 'SB001';
    END IF;
  END IF;
  IF p_batch ? 'approvals' THEN
    INSERT INTO approval (org_id, id, digest, status, action, subject, requirements, rules, reason, decision_id, run_id, loop_id,
        requester_id, owner_id, created_at, expires_at)
      SELECT p_org, a.id, decode(a.digest, 'hex'), 'pending', a.action, a.subject, a.requirements, a.rules, a.reason, a.decision_id,
        a.run_id, a.loop_id, a.requester_id, a.owner_id, a.created_at, a.expires_at
      FROM jsonb_to_recordset(p_batch -> 'approvals')
        AS a (id uuid, digest text, action text, subject jsonb, requirements jsonb, rules jsonb, reason text, decision_id uuid,
          run_id uuid, loop_id uuid, requester_id uuid, owner_id uuid, created_at timestamptz, expires_at timestamptz);
  END IF;
  IF p_batch ? 'leaseRenewals' THEN
    UPDATE lease l SET expires_at = r.expires_at, ttl_seconds = r.ttl_seconds
      FROM jsonb_to_recordset(p_batch -> 'leaseRenewals') AS r (id uuid, expires_at timestamptz, ttl_seconds int)
      WHERE l.org_id = p_org AND l.id = r.id AND l.ended_at IS NULL;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> jsonb_array_length(p_batch -> 'leaseRenewals') THEN
      RAISE EXCEPTION 'a lease ended meanwhile' USING ERRCODE = 'SB001';
    END IF;
  END IF;
  IF p_batch ? 'leaseEnds' THEN
    UPDATE lease l SET ended_at = e.at, end_reason = e.reason
      FROM jsonb_to_recordset(p_batch -> 'leaseEnds') AS e (id uuid, at timestamptz, reason text)
      WHERE l.org_id = p_org AND l.id = e.id AND l.ended_at IS NULL;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> jsonb_array_length(p_batch -> 'leaseEnds') THEN
      RAISE EXCEPTION 'a lease ended meanwhile' USING ERRCODE = 'SB001';
    END IF;
    DELETE FROM lease_key k USING jsonb_to_recordset(p_batch -> 'leaseEnds') AS e (id uuid)
      WHERE k.org_id = p_org AND k.lease_id = e.id;
  END IF;

  first_seq := append_events(p_org, p_batch -> 'events', p_policy, p_halt, false, false);

  -- From here on the head row is ours: no run can end and no approval be spent behind our back any more, since whoever
  -- does that must append an event too. A grant to a run that ended meanwhile would be a late writer's.
  IF p_batch ? 'liveRuns' AND EXISTS (
    SELECT FROM jsonb_array_elements_text(p_batch -> 'liveRuns') AS q (id)
    LEFT JOIN LATERAL (SELECT r.status FROM run r WHERE r.org_id = p_org AND r.id = q.id::uuid OFFSET 0) r ON true
    WHERE r.status IS NULL OR r.status = 'finished'
  ) THEN
    RAISE EXCEPTION 'a run ended meanwhile' USING ERRCODE = 'SB001';
  END IF;
  IF p_batch ? 'leases' THEN
    INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, purpose, ttl_seconds, approval_id, granted_at, expires_at)
      SELECT p_org, l.id, l.repo_id, l.run_id, l.loop_id, first_seq + l.event, l.mode, l.paths, l.patterns, l.purpose, l.ttl_seconds,
        l.approval_id, l.granted_at, l.expires_at
      FROM jsonb_to_recordset(p_batch -> 'leases')
        AS l (id uuid, repo_id uuid, run_id uuid, loop_id uuid, event int, mode text, paths text[], patterns text[], purpose text,
          ttl_seconds int, approval_id uuid, granted_at timestamptz, expires_at timestamptz);
    INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail)
      SELECT p_org, k.repo_id, k.lease_id, k.ordinal, k.kind, k.key, k.tail
      FROM jsonb_to_recordset(p_batch -> 'leaseKeys')
        AS k (repo_id uuid, lease_id uuid, ordinal int, kind text, key text, tail text);
  END IF;
  RETURN first_seq;
END $$;

REVOKE ALL ON FUNCTION hot_write(uuid, bigint, bigint, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hot_write(uuid, bigint, bigint, jsonb) TO signalbox_app;
