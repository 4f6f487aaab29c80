-- Moves whenever something changes that decisions look at besides policies, halts, leases and the runs themselves: loops,
-- members, teams, keys, settings, repos. A server that remembers those may decide by them as long as this has not moved.
ALTER TABLE org_head ADD COLUMN facts_version bigint NOT NULL DEFAULT 0;

-- At COMMIT, so that the head row is locked last here as everywhere.
CREATE FUNCTION facts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE org_head SET facts_version = facts_version + 1 WHERE org_id = coalesce(NEW.org_id, OLD.org_id);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER facts_changed AFTER UPDATE OF settings ON org
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION facts_changed();
CREATE CONSTRAINT TRIGGER facts_changed AFTER UPDATE OF name OR DELETE ON member
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION facts_changed();
CREATE CONSTRAINT TRIGGER facts_changed AFTER INSERT OR UPDATE OR DELETE ON team
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION facts_changed();
CREATE CONSTRAINT TRIGGER facts_changed AFTER INSERT OR UPDATE OR DELETE ON team_member
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION facts_changed();
-- Not when only last_used_at moves.
CREATE CONSTRAINT TRIGGER facts_changed AFTER UPDATE OF name, role, member_id, loop_id, expires_at, revoked_at OR DELETE ON api_key
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION facts_changed();
CREATE CONSTRAINT TRIGGER facts_changed AFTER UPDATE OR DELETE ON repo
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION facts_changed();
CREATE CONSTRAINT TRIGGER facts_changed AFTER UPDATE OR DELETE ON loop
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION facts_changed();

-- Whether anybody holds or wants patterns in a repo, and which: few or none in most repos.
CREATE INDEX lease_key_pattern_idx ON lease_key (org_id, repo_id) WHERE kind = 'pattern';
CREATE INDEX lease_waiter_key_pattern_idx ON lease_waiter_key (org_id, repo_id) WHERE kind = 'pattern';

-- Renewals move expires_at: as a column of an index, even of one that hardly has a row, it would make each of them write all
-- indexes of the lease anew. Some room on each page keeps them there.
DROP INDEX lease_revoked_idx;
CREATE INDEX lease_revoked_idx ON lease (org_id, ended_at) WHERE end_reason = 'revoked';
ALTER TABLE lease SET (fillfactor = 85);

-- Nothing reads decisions by time alone, and ids are made in the order of time.
DROP INDEX decision_org_id_at_idx;

-- A batch in which nothing overlaps anything, decided beforehand by what the server remembered: locks, looks whether all of
-- that still holds, and writes, in one call that is a transaction of its own. Where something has changed or is in the way,
-- nothing is written, and the answer says 'no: …': the batch is then decided by what is read under the locks.
--
-- p_expected {policy, halt, facts: versions; keys, repos: ids; runs: [{id, iteration, usage}]; decidedAt}: what was decided by.
-- p_events: one line an event, the canonical JSON of {actor, at, data, kind, subject}, in which p_mark || seconds || '~'
--   stands for the time of the commit and so many seconds later: the clock is read here, after the lock.
-- p_grant_repos, p_grant_seconds: one number an event. Of a lease.granted the index of its repo in p_expected.repos (from 1)
--   and its time to live, else 0. The rest of the lease is in the event.
-- p_key_leases, p_key_ordinals, p_key_repos, p_keys, p_tails: the rows for lease_key of the leases granted, which are on paths
--   only; keys and tails as lines of text.
-- p_rows {decisions, leaseRenewals, beats}: as hot_write takes them, but for times, which are that clock's too.
-- Returns the seq of the first event and the clock in milliseconds.
CREATE FUNCTION hot_once(p_org uuid, p_expected jsonb, p_mark text, p_seconds int[], p_events text, p_grant_repos int[],
  p_grant_seconds int[], p_key_leases uuid[], p_key_ordinals int[], p_key_repos int[], p_keys text, p_tails text, p_rows jsonb)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  repos uuid[] := ARRAY(SELECT jsonb_array_elements_text(p_expected -> 'repos')::uuid);
  keys text[] := string_to_array(p_keys, E'\n');
  -- A single tail may be '', which string_to_array takes for no line.
  tails text[] := CASE WHEN cardinality(keys) = 1 THEN ARRAY[p_tails] ELSE string_to_array(p_tails, E'\n') END;
  head org_head%ROWTYPE;
  now_ timestamptz;
  seconds int;
  content text;
  contents text[];
  link bytea;
  number bigint;
  links bytea[] := '{}';
  found_ int;
  met int;
  renewal record;
  beaten uuid;
BEGIN
  PERFORM set_config('signalbox.org_id', p_org::text, true);
  -- In id order, as everybody locks them. Here and below each row is looked up by itself: a plan for a list, made while the
  -- table was small, may walk all of the org's rows, and is kept.
  PERFORM FROM unnest(repos) AS q (id)
    CROSS JOIN LATERAL (SELECT FROM repo r WHERE r.org_id = p_org AND r.id = q.id FOR NO KEY UPDATE) r;
  GET DIAGNOSTICS found_ = ROW_COUNT;
  IF found_ <> cardinality(repos) THEN
    RETURN 'no: a repo';
  END IF;
  now_ := date_trunc('milliseconds', clock_timestamp());
  -- Bounds how long after it was sent this can still take effect: whoever lost the connection can wait that out. Looked at
  -- after the lock, which such a look-up takes as well.
  IF abs(extract(epoch FROM now_ - (p_expected ->> 'decidedAt')::timestamptz)) > 1 THEN
    RETURN 'no: late';
  END IF;
  IF EXISTS (
    SELECT FROM unnest(p_key_repos, keys) AS w (repo, key)
    CROSS JOIN LATERAL (
      SELECT FROM lease_key x
      WHERE x.org_id = p_org AND x.repo_id = repos[w.repo] AND x.key = w.key COLLATE "C" AND x.kind = 'literal' OFFSET 0
    ) k
  ) THEN
    RETURN 'no: a lease';
  END IF;
  IF EXISTS (
    SELECT FROM unnest(repos) AS q (id)
    CROSS JOIN LATERAL (SELECT FROM lease_waiter_key x WHERE x.org_id = p_org AND x.repo_id = q.id LIMIT 1) k
  ) AND EXISTS (
    SELECT FROM unnest(p_key_repos, keys) AS w (repo, key)
    CROSS JOIN LATERAL (
      SELECT FROM lease_waiter_key x
      WHERE x.org_id = p_org AND x.repo_id = repos[w.repo] AND x.key = w.key COLLATE "C" AND x.kind = 'literal' OFFSET 0
    ) k
  ) THEN
    RETURN 'no: a waiter';
  END IF;
  -- Patterns, few if any: a pattern's key begins the key of every path that it may match.
  SELECT count(*), count(*) FILTER (WHERE p.meets) INTO found_, met FROM (
    SELECT EXISTS (
      SELECT FROM unnest(p_key_repos, keys, tails) AS w (repo, key, tail)
      WHERE w.repo = q.n AND starts_with(w.key, k.key) AND (k.tail IS NULL OR k.tail = w.tail)
    ) AS meets
    FROM unnest(repos) WITH ORDINALITY AS q (id, n)
    CROSS JOIN LATERAL (
      (SELECT x.key, x.tail FROM lease_key x WHERE x.org_id = p_org AND x.repo_id = q.id AND x.kind = 'pattern' LIMIT 65)
      UNION ALL
      (SELECT x.key, x.tail FROM lease_waiter_key x WHERE x.org_id = p_org AND x.repo_id = q.id AND x.kind = 'pattern' LIMIT 65)
    ) k
    LIMIT 65
  ) p;
  IF found_ > 64 OR met > 0 THEN
    RETURN 'no: a pattern';
  END IF;
  SELECT count(*) INTO found_ FROM jsonb_array_elements_text(p_expected -> 'keys') AS q (id)
    CROSS JOIN LATERAL (
      SELECT FROM api_key k WHERE k.org_id = p_org AND k.id = q.id::uuid AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > now_) OFFSET 0
    ) k;
  IF found_ <> jsonb_array_length(p_expected -> 'keys') THEN
    RETURN 'no: a key';
  END IF;
  IF p_rows ? 'leaseRenewals' THEN
    FOR renewal IN
      SELECT * FROM jsonb_to_recordset(p_rows -> 'leaseRenewals') AS r (id uuid, fence bigint, ttl_seconds int, was int)
    LOOP
      UPDATE lease l SET expires_at = now_ + make_interval(secs => renewal.ttl_seconds), ttl_seconds = renewal.ttl_seconds
        WHERE l.org_id = p_org AND l.id = renewal.id AND l.repo_id = ANY (repos) AND l.ended_at IS NULL
          AND l.fence = renewal.fence AND l.ttl_seconds = renewal.was
          AND l.expires_at > now_ AND l.expires_at < now_ + make_interval(secs => renewal.ttl_seconds);
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a lease has changed meanwhile' USING ERRCODE = 'SB001';
      END IF;
    END LOOP;
  END IF;
  IF p_rows ? 'beats' THEN
    FOR beaten IN SELECT value::uuid FROM jsonb_array_elements_text(p_rows -> 'beats') ORDER BY 1 LOOP
      UPDATE run r SET last_beat_at = now_ WHERE r.org_id = p_org AND r.id = beaten AND r.status = 'running';
    END LOOP;
  END IF;

  SELECT * INTO head FROM org_head h WHERE h.org_id = p_org FOR NO KEY UPDATE;
  -- From here on nobody can publish, halt, end a run or change a fact: each of them needs the head row too.
  IF head.policy_version <> (p_expected ->> 'policy')::bigint OR head.halt_epoch <> (p_expected ->> 'halt')::bigint
    OR head.facts_version <> (p_expected ->> 'facts')::bigint
  THEN
    RAISE EXCEPTION 'decided by what has changed meanwhile' USING ERRCODE = 'SB001';
  END IF;
  PERFORM FROM jsonb_to_recordset(p_expected -> 'runs') AS q (id uuid, iteration int, usage jsonb)
    LEFT JOIN LATERAL (
      SELECT r.iteration, r.usage FROM run r WHERE r.org_id = p_org AND r.id = q.id AND r.status = 'running' OFFSET 0
    ) r ON true
    WHERE r.iteration IS DISTINCT FROM q.iteration OR r.usage IS DISTINCT FROM q.usage;
  IF FOUND THEN
    RAISE EXCEPTION 'a run has changed meanwhile' USING ERRCODE = 'SB001';
  END IF;

  content := p_events;
  FOREACH seconds IN ARRAY p_seconds LOOP
    content := replace(content, p_mark || seconds || '~',
      to_char((now_ + make_interval(secs => seconds)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
  END LOOP;
  contents := string_to_array(content, E'\n');
  -- As append_events chains them, with the digest made here, where the time is known.
  link := head.hash;
  number := head.seq;
  FOREACH content IN ARRAY contents LOOP
    number := number + 1;
    link := sha256(link || int8send(number) || sha256(convert_to(content, 'UTF8')));
    links := links || link;
  END LOOP;
  WITH e AS MATERIALIZED (
    SELECT t.content::jsonb AS c, t.link, t.repo, t.seconds, head.seq + t.n AS seq
    FROM unnest(contents, links, p_grant_repos, p_grant_seconds) WITH ORDINALITY AS t (content, link, repo, seconds, n)
  ), logged AS (
    INSERT INTO event (org_id, seq, at, kind, actor, subject, data, hash)
    SELECT p_org, e.seq, now_, e.c ->> 'kind', e.c -> 'actor', e.c -> 'subject', e.c -> 'data', e.link FROM e
  )
  INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, resources, purpose, ttl_seconds, granted_at,
      expires_at)
    SELECT p_org, (e.c -> 'subject' ->> 'id')::uuid, repos[e.repo], (d ->> 'runId')::uuid, (d ->> 'loopId')::uuid, e.seq, d ->> 'mode',
      -- A JSON array of texts without control characters, which paths are, is an array's own writing but for the brackets.
      ('{' || substr(d ->> 'paths', 2, length(d ->> 'paths') - 2) || '}')::text[],
      '{}', '{}', d ->> 'purpose', e.seconds, now_, now_ + make_interval(secs => e.seconds)
    FROM e CROSS JOIN LATERAL (SELECT e.c -> 'data' AS d OFFSET 0) g WHERE e.repo > 0;
  INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail)
    SELECT p_org, repos[k.repo], k.lease, k.ordinal, 'literal', k.key, k.tail
    FROM unnest(p_key_leases, p_key_ordinals, p_key_repos, keys, tails) AS k (lease, ordinal, repo, key, tail);
  UPDATE org_head SET seq = number, hash = link WHERE org_id = p_org;
  IF p_rows ? 'decisions' THEN
    INSERT INTO decision (org_id, id, at, action, subject, actor, run_id, loop_id, outcome, ungoverned, rules, shadow, policy_version)
      SELECT p_org, d.id, now_, d.action, d.subject, d.actor, d.run_id, d.loop_id, d.outcome, d.ungoverned, d.rules, d.shadow,
        head.policy_version
      FROM jsonb_to_recordset(p_rows -> 'decisions')
        AS d (id uuid, action text, subject jsonb, actor jsonb, run_id uuid, loop_id uuid, outcome text, ungoverned boolean,
          rules jsonb, shadow jsonb);
  END IF;
  RETURN (head.seq + 1) || ' ' || (extract(epoch FROM now_) * 1000)::bigint;
END $$;

REVOKE ALL ON FUNCTION hot_once(uuid, jsonb, text, int[], text, int[], int[], uuid[], int[], int[], text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hot_once(uuid, jsonb, text, int[], text, int[], int[], uuid[], int[], int[], text, text, jsonb) TO signalbox_app;
REVOKE ALL ON FUNCTION facts_changed() FROM PUBLIC;

-- As before, but each row to change is found by its id, one by one. Joined with a list, a plan made while the table was small
-- walks the org's rows and looks each up in the list, and is kept: renewals took 7 ms each beside 20,000 leases.
CREATE OR REPLACE FUNCTION hot_write(p_org uuid, p_policy bigint, p_halt bigint, p_batch jsonb)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  first_seq bigint;
  touched bigint;
  row_ record;
BEGIN
  IF p_batch ? 'beats' THEN
    -- In id order, so that two servers' batches cannot wait for each other.
    FOR row_ IN SELECT value::uuid AS id FROM jsonb_array_elements_text(p_batch -> 'beats') ORDER BY 1 LOOP
      UPDATE run r SET last_beat_at = clock_timestamp(), status = 'running'
        WHERE r.org_id = p_org AND r.id = row_.id AND r.status <> 'finished';
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
