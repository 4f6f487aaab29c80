-- Waiting for leases, named resources, and leases that an admin takes back.
ALTER TABLE lease ADD COLUMN resources text[] NOT NULL DEFAULT '{}';
ALTER TABLE lease ADD COLUMN revoke_reason text;
CREATE INDEX lease_revoked_idx ON lease (org_id, expires_at) WHERE end_reason = 'revoked';
ALTER TABLE lease_key DROP CONSTRAINT lease_key_kind_check;
ALTER TABLE lease_key ADD CONSTRAINT lease_key_kind_check CHECK (kind IN ('literal', 'pattern', 'resource'));

-- A request that waits for its lease; its id is the ticket. Of overlapping ones the lower seq goes first.
CREATE TABLE lease_waiter (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  -- The seq of its lease.queued event.
  seq bigint NOT NULL,
  repo_id uuid NOT NULL,
  run_id uuid NOT NULL,
  loop_id uuid NOT NULL,
  -- lease: granted when its turn comes. admission: keeps a place for an admission, which is decided when its turn comes.
  kind text NOT NULL CHECK (kind IN ('lease', 'admission')),
  mode text NOT NULL CHECK (mode IN ('exclusive', 'shared')),
  paths text[] NOT NULL,
  patterns text[] NOT NULL,
  resources text[] NOT NULL,
  purpose text,
  ttl_seconds integer NOT NULL,
  -- Who asked: {keyId, role, memberId, loopId}.
  principal jsonb NOT NULL,
  queued_at timestamptz(3) NOT NULL,
  status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'granted', 'cancelled', 'ended')),
  reason text,
  settled_at timestamptz(3),
  -- The lease that it was granted.
  lease_id uuid,
  -- One of the leases and waiters in its way: while that is in its way, nothing else needs to be looked at.
  -- Null: its way was free when last looked at.
  blocked_by uuid,
  -- Of an admission's place: whoever holds its request open moves this on. Past it, the place counts for nothing.
  held_until timestamptz(3),
  CONSTRAINT lease_waiter_pkey PRIMARY KEY (org_id, id)
);
CREATE INDEX lease_waiter_waiting_idx ON lease_waiter (org_id, seq) WHERE status = 'waiting';
CREATE INDEX lease_waiter_blocked_by_idx ON lease_waiter (org_id, blocked_by) WHERE status = 'waiting';
CREATE INDEX lease_waiter_run_idx ON lease_waiter (org_id, run_id) WHERE status = 'waiting';
CREATE INDEX lease_waiter_settled_idx ON lease_waiter (org_id, settled_at) WHERE status <> 'waiting';

-- As lease_key, of what is waited for.
CREATE TABLE lease_waiter_key (
  org_id uuid NOT NULL,
  repo_id uuid NOT NULL,
  waiter_id uuid NOT NULL,
  ordinal integer NOT NULL,
  kind text NOT NULL CHECK (kind IN ('literal', 'pattern', 'resource')),
  key text COLLATE "C" NOT NULL,
  tail text COLLATE "C",
  CONSTRAINT lease_waiter_key_pkey PRIMARY KEY (org_id, waiter_id, ordinal)
);
CREATE INDEX lease_waiter_key_org_id_repo_id_key_kind_idx ON lease_waiter_key (org_id, repo_id, key, kind);

DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['lease_waiter', 'lease_waiter_key'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format($p$CREATE POLICY tenant ON %I
      USING (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)
      WITH CHECK (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)$p$, t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO signalbox_app', t);
  END LOOP;
END $$;

-- Everything one hot batch writes, in one call: rows first, then the head (append_events), then what needed a number.
-- p_batch holds JSON arrays, each as its INSERT below reads it; absent ones are skipped. Errors roll the batch back:
--   SB001  policy version or halt epoch moved, a run ended, an approval was taken: decide again
--   23505  an idempotency key or an approval digest is another batch's: load it and decide again
-- Returns the seq of the batch's first event.
CREATE OR REPLACE FUNCTION hot_write(p_org uuid, p_policy bigint, p_halt bigint, p_batch jsonb)
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
    UPDATE lease l SET ended_at = e.at, end_reason = e.reason, revoke_reason = e.revoke_reason
      FROM jsonb_to_recordset(p_batch -> 'leaseEnds') AS e (id uuid, at timestamptz, reason text, revoke_reason text)
      WHERE l.org_id = p_org AND l.id = e.id AND l.ended_at IS NULL;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> jsonb_array_length(p_batch -> 'leaseEnds') THEN
      RAISE EXCEPTION 'a lease ended meanwhile' USING ERRCODE = 'SB001';
    END IF;
    -- A revoked lease stays findable until it would have expired: its run may not take the paths back before.
    DELETE FROM lease_key k USING jsonb_to_recordset(p_batch -> 'leaseEnds') AS e (id uuid, reason text)
      WHERE k.org_id = p_org AND k.lease_id = e.id AND e.reason <> 'revoked';
  END IF;
  IF p_batch ? 'waiterEnds' THEN
    UPDATE lease_waiter w SET status = e.status, reason = e.reason, lease_id = e.lease_id, settled_at = e.at, blocked_by = NULL
      FROM jsonb_to_recordset(p_batch -> 'waiterEnds') AS e (id uuid, status text, reason text, lease_id uuid, at timestamptz)
      WHERE w.org_id = p_org AND w.id = e.id AND w.status = 'waiting';
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> jsonb_array_length(p_batch -> 'waiterEnds') THEN
      RAISE EXCEPTION 'a waiter was settled meanwhile' USING ERRCODE = 'SB001';
    END IF;
    DELETE FROM lease_waiter_key k USING jsonb_to_recordset(p_batch -> 'waiterEnds') AS e (id uuid)
      WHERE k.org_id = p_org AND k.waiter_id = e.id;
    -- Whatever a waiter was in the way of, the lease that it got is in the way of: nobody needs to be looked at again.
    UPDATE lease_waiter w SET blocked_by = e.lease_id
      FROM jsonb_to_recordset(p_batch -> 'waiterEnds') AS e (id uuid, lease_id uuid)
      WHERE e.lease_id IS NOT NULL AND w.org_id = p_org AND w.blocked_by = e.id AND w.status = 'waiting';
  END IF;
  IF p_batch ? 'waiterBlocks' THEN
    UPDATE lease_waiter w SET blocked_by = b.blocked_by
      FROM jsonb_to_recordset(p_batch -> 'waiterBlocks') AS b (id uuid, blocked_by uuid)
      WHERE w.org_id = p_org AND w.id = b.id AND w.status = 'waiting';
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
  -- A wait may close a cycle with one in another repo, under another lock: whoever comes second to the head looks again.
  IF p_batch ? 'waitsKnownTo' AND EXISTS (
    SELECT FROM lease_waiter w WHERE w.org_id = p_org AND w.status = 'waiting' AND w.seq > (p_batch ->> 'waitsKnownTo')::bigint
  ) THEN
    RAISE EXCEPTION 'somebody began to wait meanwhile' USING ERRCODE = 'SB001';
  END IF;
  IF p_batch ? 'waiters' THEN
    INSERT INTO lease_waiter (org_id, id, seq, repo_id, run_id, loop_id, kind, mode, paths, patterns, resources, purpose, ttl_seconds,
        principal, queued_at, blocked_by, held_until)
      SELECT p_org, w.id, first_seq + w.event, w.repo_id, w.run_id, w.loop_id, w.kind, w.mode, w.paths, w.patterns, w.resources, w.purpose,
        w.ttl_seconds, w.principal, w.queued_at, w.blocked_by, w.held_until
      FROM jsonb_to_recordset(p_batch -> 'waiters')
        AS w (id uuid, event int, repo_id uuid, run_id uuid, loop_id uuid, kind text, mode text, paths text[], patterns text[],
          resources text[], purpose text, ttl_seconds int, principal jsonb, queued_at timestamptz, blocked_by uuid, held_until timestamptz);
    INSERT INTO lease_waiter_key (org_id, repo_id, waiter_id, ordinal, kind, key, tail)
      SELECT p_org, k.repo_id, k.waiter_id, k.ordinal, k.kind, k.key, k.tail
      FROM jsonb_to_recordset(p_batch -> 'waiterKeys')
        AS k (repo_id uuid, waiter_id uuid, ordinal int, kind text, key text, tail text);
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
