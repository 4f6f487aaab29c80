-- The epoch of its run that asked, if it said so: a process that a resume has replaced gets nothing from the line.
ALTER TABLE lease_waiter ADD COLUMN epoch integer;

-- As before, but for waiterChanges {id, joined, purpose, ttl_seconds, held_until, epoch} in place of waiterJoins, and for the epoch
-- of a waiter. A lease that ends in the batch in which it was renewed has the times of that renewal.
CREATE OR REPLACE FUNCTION hot_write(p_org uuid, p_policy bigint, p_halt bigint, p_batch jsonb)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  first_seq bigint;
  touched bigint;
  row_ record;
BEGIN
  IF p_batch ? 'beats' OR p_batch ? 'revivals' THEN
    -- In id order, so that two servers' batches cannot wait for each other. The log hears of each revival: of one that was
    -- running when the batch read it, and has been found silent since, it would not.
    FOR row_ IN
      SELECT value::uuid AS id, 'running' AS was FROM jsonb_array_elements_text(p_batch -> 'beats')
      UNION ALL SELECT value::uuid, 'stalled' FROM jsonb_array_elements_text(p_batch -> 'revivals')
      ORDER BY id
    LOOP
      UPDATE run r SET last_beat_at = clock_timestamp(), status = 'running'
        WHERE r.org_id = p_org AND r.id = row_.id AND r.status = row_.was;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a run has changed meanwhile' USING ERRCODE = 'SB001';
      END IF;
    END LOOP;
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
    FOR row_ IN
      SELECT * FROM jsonb_to_recordset(p_batch -> 'leaseRenewals') AS r (id uuid, expires_at timestamptz, ttl_seconds int)
    LOOP
      UPDATE lease l SET expires_at = row_.expires_at, ttl_seconds = row_.ttl_seconds
        WHERE l.org_id = p_org AND l.id = row_.id AND l.ended_at IS NULL;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a lease ended meanwhile' USING ERRCODE = 'SB001';
      END IF;
    END LOOP;
  END IF;
  IF p_batch ? 'leaseEnds' THEN
    FOR row_ IN
      SELECT * FROM jsonb_to_recordset(p_batch -> 'leaseEnds') AS e (id uuid, at timestamptz, reason text, revoke_reason text)
    LOOP
      UPDATE lease l SET ended_at = row_.at, end_reason = row_.reason, revoke_reason = row_.revoke_reason
        WHERE l.org_id = p_org AND l.id = row_.id AND l.ended_at IS NULL;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a lease ended meanwhile' USING ERRCODE = 'SB001';
      END IF;
      -- A revoked lease stays findable until it would have expired: its run may not take the paths back before.
      IF row_.reason <> 'revoked' THEN
        DELETE FROM lease_key k WHERE k.org_id = p_org AND k.lease_id = row_.id;
      END IF;
    END LOOP;
  END IF;
  IF p_batch ? 'waiterEnds' THEN
    FOR row_ IN
      SELECT * FROM jsonb_to_recordset(p_batch -> 'waiterEnds') AS e (id uuid, status text, reason text, lease_id uuid, at timestamptz)
    LOOP
      UPDATE lease_waiter w SET status = row_.status, reason = row_.reason, lease_id = row_.lease_id, settled_at = row_.at, blocked_by = NULL
        WHERE w.org_id = p_org AND w.id = row_.id AND w.status = 'waiting';
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a waiter was settled meanwhile' USING ERRCODE = 'SB001';
      END IF;
      DELETE FROM lease_waiter_key k WHERE k.org_id = p_org AND k.waiter_id = row_.id;
    END LOOP;
    -- Whatever a waiter was in the way of, the lease that it got is in the way of: nobody needs to be looked at again.
    FOR row_ IN SELECT * FROM jsonb_to_recordset(p_batch -> 'waiterEnds') AS e (id uuid, lease_id uuid) WHERE e.lease_id IS NOT NULL LOOP
      UPDATE lease_waiter w SET blocked_by = row_.lease_id
        WHERE w.org_id = p_org AND w.blocked_by = row_.id AND w.status = 'waiting';
    END LOOP;
  END IF;
  IF p_batch ? 'waiterBlocks' THEN
    FOR row_ IN SELECT * FROM jsonb_to_recordset(p_batch -> 'waiterBlocks') AS b (id uuid, blocked_by uuid) LOOP
      UPDATE lease_waiter w SET blocked_by = row_.blocked_by WHERE w.org_id = p_org AND w.id = row_.id AND w.status = 'waiting';
    END LOOP;
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
  -- Who was found silent since gets nothing from the line.
  IF p_batch ? 'aliveRuns' AND EXISTS (
    SELECT FROM jsonb_array_elements_text(p_batch -> 'aliveRuns') AS q (id)
    CROSS JOIN LATERAL (SELECT r.status FROM run r WHERE r.org_id = p_org AND r.id = q.id::uuid OFFSET 0) r
    WHERE r.status <> 'running'
  ) THEN
    RAISE EXCEPTION 'a run fell silent meanwhile' USING ERRCODE = 'SB001';
  END IF;
  -- A key that was revoked before we had the head may do nothing more; whoever revokes one needs the head as well.
  IF p_batch ? 'apiKeys' AND EXISTS (
    SELECT FROM jsonb_array_elements_text(p_batch -> 'apiKeys') AS q (id)
    CROSS JOIN LATERAL (SELECT k.revoked_at, k.expires_at FROM api_key k WHERE k.org_id = p_org AND k.id = q.id::uuid OFFSET 0) k
    WHERE k.revoked_at IS NOT NULL OR k.expires_at <= clock_timestamp()
  ) THEN
    RAISE EXCEPTION 'a key was revoked meanwhile' USING ERRCODE = 'SB001';
  END IF;
  -- A wait may close a cycle with one in another repo, under another lock: whoever comes second to the head looks again, if
  -- anybody can be waiting for one of these runs, that is, if it holds or wants anything by now.
  IF p_batch ? 'waitsKnownTo' AND EXISTS (
    SELECT FROM lease_waiter w WHERE w.org_id = p_org AND w.status = 'waiting' AND w.seq > (p_batch ->> 'waitsKnownTo')::bigint
  ) AND EXISTS (
    SELECT FROM jsonb_to_recordset(p_batch -> 'waiters') AS q (run_id uuid)
    WHERE EXISTS (SELECT FROM lease l WHERE l.org_id = p_org AND l.run_id = q.run_id AND l.ended_at IS NULL)
      OR EXISTS (SELECT FROM lease_waiter w WHERE w.org_id = p_org AND w.run_id = q.run_id AND w.status = 'waiting')
  ) THEN
    RAISE EXCEPTION 'somebody began to wait meanwhile' USING ERRCODE = 'SB001';
  END IF;
  IF p_batch ? 'waiters' THEN
    INSERT INTO lease_waiter (org_id, id, seq, repo_id, run_id, loop_id, kind, mode, paths, patterns, resources, purpose, ttl_seconds,
        principal, queued_at, blocked_by, held_until, epoch)
      SELECT p_org, w.id, first_seq + w.event, w.repo_id, w.run_id, w.loop_id, w.kind, w.mode, w.paths, w.patterns, w.resources, w.purpose,
        w.ttl_seconds, w.principal, w.queued_at, w.blocked_by, w.held_until, w.epoch
      FROM jsonb_to_recordset(p_batch -> 'waiters')
        AS w (id uuid, event int, repo_id uuid, run_id uuid, loop_id uuid, kind text, mode text, paths text[], patterns text[],
          resources text[], purpose text, ttl_seconds int, principal jsonb, queued_at timestamptz, blocked_by uuid, held_until timestamptz,
          epoch int);
    INSERT INTO lease_waiter_key (org_id, repo_id, waiter_id, ordinal, kind, key, tail)
      SELECT p_org, k.repo_id, k.waiter_id, k.ordinal, k.kind, k.key, k.tail
      FROM jsonb_to_recordset(p_batch -> 'waiterKeys')
        AS k (repo_id uuid, waiter_id uuid, ordinal int, kind text, key text, tail text);
  END IF;
  -- After the rows of this batch, of which it may be one.
  IF p_batch ? 'waiterChanges' THEN
    FOR row_ IN
      SELECT * FROM jsonb_to_recordset(p_batch -> 'waiterChanges')
        AS c (id uuid, joined boolean, purpose text, ttl_seconds int, held_until timestamptz, epoch int)
    LOOP
      UPDATE lease_waiter w SET joined = row_.joined, purpose = row_.purpose, ttl_seconds = row_.ttl_seconds,
          held_until = row_.held_until, epoch = row_.epoch
        WHERE w.org_id = p_org AND w.id = row_.id;
    END LOOP;
  END IF;
  IF p_batch ? 'leases' THEN
    INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, resources, purpose, ttl_seconds, approval_id,
        granted_at, expires_at)
      SELECT p_org, l.id, l.repo_id, l.run_id, l.loop_id, first_seq + l.event, l.mode, l.paths, l.patterns, l.resources, l.purpose, l.ttl_seconds,
        l.approval_id, l.granted_at, l.expires_at
      FROM jsonb_to_recordset(p_batch -> 'leases')
        AS l (id uuid, repo_id uuid, run_id uuid, loop_id uuid, event int, mode text, paths text[], patterns text[], resources text[],
          purpose text, ttl_seconds int, approval_id uuid, granted_at timestamptz, expires_at timestamptz);
    INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail)
      SELECT p_org, k.repo_id, k.lease_id, k.ordinal, k.kind, k.key, k.tail
      FROM jsonb_to_recordset(p_batch -> 'leaseKeys')
        AS k (repo_id uuid, lease_id uuid, ordinal int, kind text, key text, tail text);
  END IF;
  RETURN first_seq;
END $$;
