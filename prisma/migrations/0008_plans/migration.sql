-- What the planner is told. Statements of the hot path are planned once a connection, without looking at their parameters.
--
-- An org may be one of thousands, or all there is: the planner is to reckon with the worst, and never to choose an index for
-- its first column alone, org_id. (Where it did, it walked all of an org's leases to find one by its id: 300 acquires a second
-- instead of 4,000 where many want the same files.) It believes this from the next ANALYZE on.
DO $$
DECLARE
  t text;
BEGIN
  FOR t IN SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables b USING (table_schema, table_name)
    WHERE c.table_schema = current_schema() AND c.column_name = 'org_id' AND b.table_type = 'BASE TABLE'
  LOOP
    EXECUTE format('ALTER TABLE %I ALTER COLUMN org_id SET (n_distinct = 1)', t);
  END LOOP;
END $$;

-- An empty table has nothing to analyse, and the first minute of a new installation is not to be its slowest: each table that
-- the hot path looks into by id is analysed with some rows of made-up orgs in it, which are gone before this commits.
DO $$
DECLARE
  o uuid;
  made uuid[] := '{}';
  t text;
BEGIN
  FOR i IN 1..200 LOOP
    o := gen_random_uuid();
    made := made || o;
    PERFORM set_config('signalbox.org_id', o::text, true);
    INSERT INTO repo (org_id, id, name, created_at) VALUES (o, o, o::text, now());
    INSERT INTO member (org_id, id, name, email, created_at) VALUES (o, o, '', o::text, now());
    INSERT INTO api_key (org_id, id, name, role, hash, created_at) VALUES (o, o, '', 'viewer', sha256(o::text::bytea), now());
    INSERT INTO loop (org_id, id, owner_id, owner_kind, repo_id, name, version, digest, definition, created_at, updated_at)
      VALUES (o, o, o, 'key', o, '', 1, '', '{}', now(), now());
    INSERT INTO run (org_id, id, loop_id, loop_version, repo_id, epoch, status, traceparent, started_by, started_at, last_beat_at)
      VALUES (o, o, o, 1, o, 1, CASE WHEN i % 2 = 0 THEN 'running' ELSE 'finished' END, '', o, now(), now());
    INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, ttl_seconds, granted_at, expires_at, ended_at)
      VALUES (o, o, o, o, o, 1, 'shared', '{}', '{}', 900, now(), now(), CASE WHEN i % 2 = 0 THEN now() END);
    INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail) VALUES (o, o, o, 0, 'literal', o::text, '');
    INSERT INTO lease_waiter (org_id, id, repo_id, run_id, loop_id, seq, kind, mode, paths, patterns, resources, ttl_seconds, principal,
        status, queued_at)
      VALUES (o, o, o, o, o, 1, 'lease', 'shared', '{}', '{}', '{}', 900, '{}', CASE WHEN i % 2 = 0 THEN 'waiting' ELSE 'granted' END, now());
    INSERT INTO lease_waiter_key (org_id, repo_id, waiter_id, ordinal, kind, key, tail) VALUES (o, o, o, 0, 'literal', o::text, '');
  END LOOP;
  FOREACH t IN ARRAY '{repo,member,api_key,loop,run,lease,lease_key,lease_waiter,lease_waiter_key}'::text[] LOOP
    EXECUTE format('ANALYZE %I', t);
  END LOOP;
  FOREACH o IN ARRAY made LOOP
    PERFORM set_config('signalbox.org_id', o::text, true);
    FOREACH t IN ARRAY '{repo,member,api_key,loop,run,lease,lease_key,lease_waiter,lease_waiter_key}'::text[] LOOP
      EXECUTE format('DELETE FROM %I WHERE org_id = $1', t) USING o;
    END LOOP;
  END LOOP;
  PERFORM set_config('signalbox.org_id', '', true);
END $$;

-- As before, in fewer statements: each costs PL/pgSQL some 20 microseconds however little it does, and most batches are small. An
-- older server finds the old one gone, and decides the general way.
DROP FUNCTION hot_once(uuid, jsonb, text, int[], text, int[], int[], uuid[], int[], int[], text, text, jsonb);

-- A batch in which nothing overlaps anything, decided beforehand by what the server remembered: locks, looks whether all of
-- that still holds, and writes, in one call that is a transaction of its own. Where something has changed or is in the way,
-- nothing is written, and the answer says 'no: …': the batch is then decided by what is read under the locks.
--
-- What was decided by: p_versions {policy, halt, facts}; p_decided_at; p_api_keys, p_runs: that have to be live; p_guarded
--   [{id, iteration, usage}], or null: the runs whose guardrails were looked at.
-- p_repos: to be locked, in id order.
-- p_events: one line an event, the canonical JSON of {actor, at, data, kind, subject}, in which p_mark || seconds || '~'
--   stands for the time of the commit and so many seconds later: the clock is read here, after the lock.
-- p_grant_repos, p_grant_seconds: one number an event. Of a lease.granted the index of its repo in p_repos (from 1) and its
--   time to live, else 0. The rest of the lease is in the event.
-- p_key_leases, p_key_ordinals, p_key_repos, p_keys, p_tails: the rows for lease_key of the leases granted, which are on paths
--   only; keys and tails as lines of text.
-- p_rows {decisions, leaseRenewals, leaseEnds, beats} or null: as hot_write takes them, but for times, which are that clock's
--   too. leaseEnds are releases, with the fence and the expires_at by which they were decided; in a repo in which anybody
--   waits there can be none.
-- Returns the seq of the first event and the clock in milliseconds.
CREATE FUNCTION hot_once(p_versions bigint[], p_decided_at timestamptz, p_org uuid, p_repos uuid[], p_api_keys uuid[], p_runs uuid[],
  p_guarded jsonb, p_mark text, p_seconds int[], p_events text, p_grant_repos int[], p_grant_seconds int[], p_key_leases uuid[],
  p_key_ordinals int[], p_key_repos int[], p_keys text, p_tails text, p_rows jsonb)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  -- An assignment is evaluated without a statement of its own.
  entered text := set_config('signalbox.org_id', p_org::text, true);
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
  obstacle text;
  renewal record;
  release record;
  beaten uuid;
BEGIN
  -- Here and below each row is looked up by itself: a plan for a list, made while the table was small, may walk all of the
  -- org's rows, and is kept. And by its key alone: with another column there too, an index that has that may be taken.
  PERFORM FROM unnest(p_repos) AS q (id)
    CROSS JOIN LATERAL (SELECT FROM repo r WHERE r.org_id = p_org AND r.id = q.id FOR NO KEY UPDATE) r;
  GET DIAGNOSTICS found_ = ROW_COUNT;
  IF found_ <> cardinality(p_repos) THEN
    RETURN 'no: a repo';
  END IF;
  now_ := date_trunc('milliseconds', clock_timestamp());
  -- Bounds how long after it was sent this can still take effect: whoever lost the connection can wait that out. Looked at
  -- after the lock, which such a look-up takes as well.
  IF abs(extract(epoch FROM now_ - p_decided_at)) > 1 THEN
    RETURN 'no: late';
  END IF;
  SELECT CASE
    WHEN EXISTS (
      SELECT FROM unnest(p_key_repos, keys) AS w (repo, key)
      CROSS JOIN LATERAL (
        SELECT FROM lease_key x
        WHERE x.org_id = p_org AND x.repo_id = p_repos[w.repo] AND x.key = w.key COLLATE "C" AND x.kind = 'literal' OFFSET 0
      ) k
    ) THEN 'a lease'
    WHEN EXISTS (
      SELECT FROM unnest(p_repos) AS q (id)
      CROSS JOIN LATERAL (SELECT FROM lease_waiter_key x WHERE x.org_id = p_org AND x.repo_id = q.id LIMIT 1) k
    ) AND (p_rows ? 'leaseEnds' OR EXISTS (
      SELECT FROM unnest(p_key_repos, keys) AS w (repo, key)
      CROSS JOIN LATERAL (
        SELECT FROM lease_waiter_key x
        WHERE x.org_id = p_org AND x.repo_id = p_repos[w.repo] AND x.key = w.key COLLATE "C" AND x.kind = 'literal' OFFSET 0
      ) k
    )) THEN 'a waiter'
    -- Patterns, few if any: a pattern's key begins the key of every path that it may match.
    WHEN (
      SELECT count(*) > 64 OR coalesce(bool_or(p.meets), false) FROM (
        SELECT EXISTS (
          SELECT FROM unnest(p_key_repos, keys, tails) AS w (repo, key, tail)
          WHERE w.repo = q.n AND starts_with(w.key, k.key) AND (k.tail IS NULL OR k.tail = w.tail)
        ) AS meets
        FROM unnest(p_repos) WITH ORDINALITY AS q (id, n)
        CROSS JOIN LATERAL (
          (SELECT x.key, x.tail FROM lease_key x WHERE x.org_id = p_org AND x.repo_id = q.id AND x.kind = 'pattern' LIMIT 65)
          UNION ALL
          (SELECT x.key, x.tail FROM lease_waiter_key x WHERE x.org_id = p_org AND x.repo_id = q.id AND x.kind = 'pattern' LIMIT 65)
        ) k
        LIMIT 65
      ) p
    ) THEN 'a pattern'
    WHEN (
      SELECT count(*) FROM unnest(p_api_keys) AS q (id)
      CROSS JOIN LATERAL (SELECT k.revoked_at, k.expires_at FROM api_key k WHERE k.org_id = p_org AND k.id = q.id OFFSET 0) k
      WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now_)
    ) <> cardinality(p_api_keys) THEN 'a key'
  END INTO obstacle;
  IF obstacle IS NOT NULL THEN
    RETURN 'no: ' || obstacle;
  END IF;
  IF p_rows IS NOT NULL AND p_rows ? 'leaseRenewals' THEN
    FOR renewal IN
      SELECT * FROM jsonb_to_recordset(p_rows -> 'leaseRenewals') AS r (id uuid, fence bigint, ttl_seconds int, was int)
    LOOP
      UPDATE lease l SET expires_at = now_ + make_interval(secs => renewal.ttl_seconds), ttl_seconds = renewal.ttl_seconds
        WHERE l.org_id = p_org AND l.id = renewal.id AND l.repo_id = ANY (p_repos) AND l.ended_at IS NULL
          AND l.fence = renewal.fence AND l.ttl_seconds = renewal.was
          AND l.expires_at > now_ AND l.expires_at < now_ + make_interval(secs => renewal.ttl_seconds);
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a lease has changed meanwhile' USING ERRCODE = 'SB001';
      END IF;
    END LOOP;
  END IF;
  IF p_rows IS NOT NULL AND p_rows ? 'leaseEnds' THEN
    FOR release IN
      SELECT * FROM jsonb_to_recordset(p_rows -> 'leaseEnds') AS r (id uuid, fence bigint, expires_at timestamptz)
    LOOP
      UPDATE lease l SET ended_at = now_, end_reason = 'released'
        WHERE l.org_id = p_org AND l.id = release.id AND l.repo_id = ANY (p_repos) AND l.ended_at IS NULL
          AND l.fence = release.fence AND l.expires_at = release.expires_at AND l.expires_at > now_;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a lease has changed meanwhile' USING ERRCODE = 'SB001';
      END IF;
      DELETE FROM lease_key k WHERE k.org_id = p_org AND k.lease_id = release.id;
    END LOOP;
  END IF;
  IF p_rows IS NOT NULL AND p_rows ? 'beats' THEN
    FOR beaten IN SELECT value::uuid FROM jsonb_array_elements_text(p_rows -> 'beats') ORDER BY 1 LOOP
      UPDATE run r SET last_beat_at = now_ WHERE r.org_id = p_org AND r.id = beaten AND r.status = 'running';
    END LOOP;
  END IF;

  SELECT * INTO head FROM org_head h WHERE h.org_id = p_org FOR NO KEY UPDATE;
  -- From here on nobody can publish, halt, end a run or change a fact: each of them needs the head row too.
  IF head.policy_version <> p_versions[1] OR head.halt_epoch <> p_versions[2] OR head.facts_version <> p_versions[3] THEN
    RAISE EXCEPTION 'decided by what has changed meanwhile' USING ERRCODE = 'SB001';
  END IF;
  -- A statement after the lock: one that waited for it would see what was there before.
  SELECT count(*) INTO found_ FROM unnest(p_runs) AS q (id)
    CROSS JOIN LATERAL (SELECT r.status FROM run r WHERE r.org_id = p_org AND r.id = q.id OFFSET 0) r
    WHERE r.status = 'running';
  IF found_ <> cardinality(p_runs) THEN
    RAISE EXCEPTION 'a run has changed meanwhile' USING ERRCODE = 'SB001';
  END IF;
  IF p_guarded IS NOT NULL THEN
    PERFORM FROM jsonb_to_recordset(p_guarded) AS q (id uuid, iteration int, usage jsonb)
      LEFT JOIN LATERAL (SELECT r.iteration, r.usage FROM run r WHERE r.org_id = p_org AND r.id = q.id OFFSET 0) r ON true
      WHERE r.iteration IS DISTINCT FROM q.iteration OR r.usage IS DISTINCT FROM q.usage;
    IF FOUND THEN
      RAISE EXCEPTION 'a run has got further meanwhile' USING ERRCODE = 'SB001';
    END IF;
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
  ), keyed AS (
    INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail)
    SELECT p_org, p_repos[k.repo], k.lease, k.ordinal, 'literal', k.key, k.tail
    FROM unnest(p_key_leases, p_key_ordinals, p_key_repos, keys, tails) AS k (lease, ordinal, repo, key, tail)
  ), moved AS (
    UPDATE org_head h SET seq = number, hash = link WHERE h.org_id = p_org
  )
  INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, resources, purpose, ttl_seconds, granted_at,
      expires_at)
    SELECT p_org, (e.c -> 'subject' ->> 'id')::uuid, p_repos[e.repo], (d ->> 'runId')::uuid, (d ->> 'loopId')::uuid, e.seq, d ->> 'mode',
      -- A JSON array of texts without control characters, which paths are, is an array's own writing but for the brackets.
      ('{' || substr(d ->> 'paths', 2, length(d ->> 'paths') - 2) || '}')::text[],
      '{}', '{}', d ->> 'purpose', e.seconds, now_, now_ + make_interval(secs => e.seconds)
    FROM e CROSS JOIN LATERAL (SELECT e.c -> 'data' AS d OFFSET 0) g WHERE e.repo > 0;
  IF p_rows IS NOT NULL AND p_rows ? 'decisions' THEN
    INSERT INTO decision (org_id, id, at, action, subject, actor, run_id, loop_id, outcome, ungoverned, rules, shadow, policy_version)
      SELECT p_org, d.id, now_, d.action, d.subject, d.actor, d.run_id, d.loop_id, d.outcome, d.ungoverned, d.rules, d.shadow,
        head.policy_version
      FROM jsonb_to_recordset(p_rows -> 'decisions')
        AS d (id uuid, action text, subject jsonb, actor jsonb, run_id uuid, loop_id uuid, outcome text, ungoverned boolean,
          rules jsonb, shadow jsonb);
  END IF;
  RETURN (head.seq + 1) || ' ' || (extract(epoch FROM now_) * 1000)::bigint;
END $$;

REVOKE ALL ON FUNCTION hot_once(bigint[], timestamptz, uuid, uuid[], uuid[], uuid[], jsonb, text, int[], text, int[], int[], uuid[], int[], int[], text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hot_once(bigint[], timestamptz, uuid, uuid[], uuid[], uuid[], jsonb, text, int[], text, int[], int[], uuid[], int[], int[], text, text, jsonb) TO signalbox_app;

-- As before, but for runs that are found silent while a batch is decided: beats {ids of running runs}, revivals {ids of stalled
-- ones}, aliveRuns {ids of those who are given something from the line}.
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
