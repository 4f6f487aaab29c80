-- As before, but for the answers kept under Idempotency-Keys.
--
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
-- p_rows {decisions, leaseRenewals, leaseEnds, beats, answers} or null: as hot_write takes them, but for times, which are that
--   clock's too. leaseEnds are releases, with the fence and the expires_at by which they were decided; in a repo in which
--   anybody waits there can be none. answers is what hot_write calls idempotency, as text, in which there may be marks.
-- Returns the seq of the first event and the clock in milliseconds.
CREATE OR REPLACE FUNCTION hot_once(p_versions bigint[], p_decided_at timestamptz, p_org uuid, p_repos uuid[], p_api_keys uuid[], p_runs uuid[],
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
  answers text := p_rows ->> 'answers';
  link bytea;
  number bigint;
  links bytea[] := '{}';
  found_ int;
  obstacle text;
  leases tid[];
  lease_keys tid[];
  ttls int[];
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
  -- Both are looked up as everything is, one by one, and changed together: a statement for each costs twice as much.
  IF p_rows IS NOT NULL AND p_rows ? 'leaseRenewals' THEN
    SELECT array_agg(l.place), array_agg(r.ttl_seconds) INTO leases, ttls
      FROM jsonb_to_recordset(p_rows -> 'leaseRenewals') AS r (id uuid, fence bigint, ttl_seconds int, was int)
      CROSS JOIN LATERAL (SELECT x.ctid AS place, x.* FROM lease x WHERE x.org_id = p_org AND x.id = r.id OFFSET 0) l
      WHERE l.repo_id = ANY (p_repos) AND l.ended_at IS NULL AND l.fence = r.fence AND l.ttl_seconds = r.was
        AND l.expires_at > now_ AND l.expires_at < now_ + make_interval(secs => r.ttl_seconds);
    IF renew_leases_at(p_org, leases, ttls, now_) <> jsonb_array_length(p_rows -> 'leaseRenewals') THEN
      RAISE EXCEPTION 'a lease has changed meanwhile' USING ERRCODE = 'SB001';
    END IF;
  END IF;
  IF p_rows IS NOT NULL AND p_rows ? 'leaseEnds' THEN
    SELECT array_agg(l.place) INTO leases
      FROM jsonb_to_recordset(p_rows -> 'leaseEnds') AS r (id uuid, fence bigint, expires_at timestamptz)
      CROSS JOIN LATERAL (SELECT x.ctid AS place, x.* FROM lease x WHERE x.org_id = p_org AND x.id = r.id OFFSET 0) l
      WHERE l.repo_id = ANY (p_repos) AND l.ended_at IS NULL AND l.fence = r.fence AND l.expires_at = r.expires_at AND l.expires_at > now_;
    SELECT array_agg(k.place) INTO lease_keys
      FROM jsonb_to_recordset(p_rows -> 'leaseEnds') AS r (id uuid)
      CROSS JOIN LATERAL (SELECT x.ctid AS place FROM lease_key x WHERE x.org_id = p_org AND x.lease_id = r.id OFFSET 0) k;
    IF release_leases_at(p_org, leases, lease_keys, now_) <> jsonb_array_length(p_rows -> 'leaseEnds') THEN
      RAISE EXCEPTION 'a lease has changed meanwhile' USING ERRCODE = 'SB001';
    END IF;
  END IF;
  IF p_rows IS NOT NULL AND p_rows ? 'beats' THEN
    FOR beaten IN SELECT value::uuid FROM jsonb_array_elements_text(p_rows -> 'beats') ORDER BY 1 LOOP
      UPDATE run r SET last_beat_at = now_ WHERE r.org_id = p_org AND r.id = beaten AND r.status = 'running';
    END LOOP;
  END IF;

  -- Before the head, as everybody does: whoever else has just used such a key may be waiting for that.
  IF answers IS NOT NULL THEN
    FOREACH seconds IN ARRAY p_seconds LOOP
      answers := replace(answers, p_mark || seconds || '~',
        to_char((now_ + make_interval(secs => seconds)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
    END LOOP;
    INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, response, lease_id, created_at)
      SELECT p_org, i.key_id, i.key, i.operation, decode(i.fingerprint, 'hex'), i.status, i.response, i.lease_id, now_
      FROM jsonb_to_recordset(answers::jsonb)
        AS i (key_id uuid, key text, operation text, fingerprint text, status int, response text, lease_id uuid);
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
