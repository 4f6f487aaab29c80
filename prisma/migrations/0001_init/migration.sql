-- The role the server works as. It owns nothing and cannot bypass row-level security; logins SET ROLE to it.
-- Roles belong to the cluster: another database's migration may create it at the same moment.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'signalbox_app') THEN
    CREATE ROLE signalbox_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;
END $$;
-- From PostgreSQL 16 on, being a member of a role (as who creates it is) does not imply the right to SET ROLE to it.
DO $$
DECLARE
  may text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
  IF NOT pg_has_role(current_user, 'signalbox_app', may) THEN
    EXECUTE format('GRANT signalbox_app TO %I', current_user);
  END IF;
EXCEPTION WHEN unique_violation OR internal_error THEN
  -- Another database's migration granted it at the same moment.
  IF NOT pg_has_role(current_user, 'signalbox_app', may) THEN
    RAISE;
  END IF;
END $$;

CREATE TABLE org (
  org_id uuid NOT NULL,
  slug text NOT NULL,
  name text NOT NULL,
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT org_pkey PRIMARY KEY (org_id)
);
CREATE UNIQUE INDEX org_slug_key ON org (slug);

-- One row per org, updated by every writer as its last statement: the org's one order. Half-full pages keep those
-- updates on the page (HOT). Nothing may hold a foreign key to it: a key-share lock would queue behind every commit.
CREATE TABLE org_head (
  org_id uuid NOT NULL,
  seq bigint NOT NULL DEFAULT 0,
  policy_version bigint NOT NULL DEFAULT 0,
  halt_epoch bigint NOT NULL DEFAULT 0,
  hash bytea NOT NULL,
  CONSTRAINT org_head_pkey PRIMARY KEY (org_id)
) WITH (fillfactor = 50);

CREATE TABLE event (
  org_id uuid NOT NULL,
  seq bigint NOT NULL,
  at timestamptz(3) NOT NULL,
  kind text NOT NULL,
  actor jsonb NOT NULL,
  subject jsonb NOT NULL,
  data jsonb NOT NULL,
  hash bytea NOT NULL,
  CONSTRAINT event_pkey PRIMARY KEY (org_id, seq)
);

CREATE TABLE member (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  email text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT member_pkey PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX member_org_id_email_key ON member (org_id, email);

CREATE TABLE team (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT team_pkey PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX team_org_id_name_key ON team (org_id, name);

CREATE TABLE team_member (
  org_id uuid NOT NULL,
  team_id uuid NOT NULL,
  member_id uuid NOT NULL,
  CONSTRAINT team_member_pkey PRIMARY KEY (org_id, team_id, member_id)
);
CREATE INDEX team_member_org_id_member_id_idx ON team_member (org_id, member_id);

CREATE TABLE api_key (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('admin', 'member', 'loop', 'sre', 'viewer')),
  member_id uuid,
  loop_id uuid,
  hash bytea NOT NULL,
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3),
  revoked_at timestamptz(3),
  last_used_at timestamptz(3),
  CONSTRAINT api_key_pkey PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX api_key_hash_key ON api_key (hash);

CREATE TABLE idempotency (
  org_id uuid NOT NULL,
  key_id uuid NOT NULL,
  key text NOT NULL,
  operation text NOT NULL,
  fingerprint bytea NOT NULL,
  status integer NOT NULL,
  response text,
  sealed bytea,
  lease_id uuid,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT idempotency_pkey PRIMARY KEY (org_id, key_id, key)
);
CREATE INDEX idempotency_org_id_created_at_idx ON idempotency (org_id, created_at);

CREATE TABLE repo (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  case_sensitive boolean NOT NULL DEFAULT true,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT repo_pkey PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX repo_org_id_name_key ON repo (org_id, name);

CREATE TABLE loop (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  owner_id uuid NOT NULL,
  owner_kind text NOT NULL CHECK (owner_kind IN ('member', 'key')),
  team_id uuid,
  repo_id uuid NOT NULL,
  name text NOT NULL,
  version integer NOT NULL,
  digest text NOT NULL,
  definition jsonb NOT NULL,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL,
  CONSTRAINT loop_pkey PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX loop_org_id_owner_id_repo_id_name_key ON loop (org_id, owner_id, repo_id, name);

CREATE TABLE loop_version (
  org_id uuid NOT NULL,
  loop_id uuid NOT NULL,
  version integer NOT NULL,
  digest text NOT NULL,
  definition jsonb NOT NULL,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT loop_version_pkey PRIMARY KEY (org_id, loop_id, version)
);

CREATE TABLE run (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  loop_id uuid NOT NULL,
  loop_version integer NOT NULL,
  repo_id uuid NOT NULL,
  epoch integer NOT NULL,
  status text NOT NULL CHECK (status IN ('running', 'stalled', 'finished')),
  trigger text,
  branch text,
  worktree text,
  session_id text,
  traceparent text NOT NULL,
  iteration integer NOT NULL DEFAULT 0,
  usage jsonb NOT NULL DEFAULT '{}',
  checkpoint jsonb,
  outcome jsonb,
  started_by uuid NOT NULL,
  started_at timestamptz(3) NOT NULL,
  last_beat_at timestamptz(3) NOT NULL,
  ended_at timestamptz(3),
  CONSTRAINT run_pkey PRIMARY KEY (org_id, id)
);
CREATE INDEX run_org_id_loop_id_started_at_idx ON run (org_id, loop_id, started_at);
CREATE INDEX run_org_id_status_last_beat_at_idx ON run (org_id, status, last_beat_at);
-- A session of one loop is one run at a time, also when its first two hooks arrive at once.
CREATE UNIQUE INDEX run_live_session_key ON run (org_id, loop_id, session_id)
  WHERE session_id IS NOT NULL AND ended_at IS NULL;

CREATE TABLE iteration (
  org_id uuid NOT NULL,
  run_id uuid NOT NULL,
  number integer NOT NULL,
  started_at timestamptz(3) NOT NULL,
  ended_at timestamptz(3),
  facts jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT iteration_pkey PRIMARY KEY (org_id, run_id, number)
);

-- Hot tables hold no foreign keys: each would lock a parent row per insert.
CREATE TABLE lease (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  repo_id uuid NOT NULL,
  run_id uuid NOT NULL,
  loop_id uuid NOT NULL,
  fence bigint NOT NULL,
  mode text NOT NULL CHECK (mode IN ('exclusive', 'shared')),
  paths text[],
  patterns text[],
  purpose text,
  ttl_seconds integer NOT NULL,
  approval_id uuid,
  granted_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  ended_at timestamptz(3),
  end_reason text,
  CONSTRAINT lease_pkey PRIMARY KEY (org_id, id)
);
CREATE INDEX lease_org_id_run_id_ended_at_idx ON lease (org_id, run_id, ended_at);
CREATE INDEX lease_org_id_repo_id_fence_idx ON lease (org_id, repo_id, fence);

-- Byte order ("C"), so that a prefix is a range and the index serves it under row-level security.
CREATE TABLE lease_key (
  org_id uuid NOT NULL,
  repo_id uuid NOT NULL,
  lease_id uuid NOT NULL,
  ordinal integer NOT NULL,
  kind text NOT NULL CHECK (kind IN ('literal', 'pattern')),
  key text COLLATE "C" NOT NULL,
  tail text COLLATE "C",
  CONSTRAINT lease_key_pkey PRIMARY KEY (org_id, lease_id, ordinal)
);
CREATE INDEX lease_key_org_id_repo_id_key_kind_idx ON lease_key (org_id, repo_id, key, kind);

CREATE TABLE policy (
  org_id uuid NOT NULL,
  name text NOT NULL,
  draft_source text,
  draft_format text,
  draft_updated_at timestamptz(3),
  published_version integer,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT policy_pkey PRIMARY KEY (org_id, name)
);

CREATE TABLE policy_version (
  org_id uuid NOT NULL,
  name text NOT NULL,
  version integer NOT NULL,
  source text NOT NULL,
  format text NOT NULL,
  document jsonb NOT NULL,
  published_at timestamptz(3) NOT NULL,
  published_by uuid NOT NULL,
  org_version bigint NOT NULL,
  rollback_of integer,
  CONSTRAINT policy_version_pkey PRIMARY KEY (org_id, name, version)
);

CREATE TABLE decision (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  at timestamptz(3) NOT NULL,
  action text NOT NULL,
  subject jsonb NOT NULL,
  actor jsonb NOT NULL,
  run_id uuid,
  loop_id uuid,
  outcome text NOT NULL CHECK (outcome IN ('allow', 'deny', 'require_approval')),
  ungoverned boolean NOT NULL,
  rules jsonb NOT NULL,
  shadow jsonb NOT NULL,
  policy_version bigint NOT NULL,
  approval_id uuid,
  CONSTRAINT decision_pkey PRIMARY KEY (org_id, id)
);
CREATE INDEX decision_org_id_run_id_at_idx ON decision (org_id, run_id, at);
CREATE INDEX decision_org_id_at_idx ON decision (org_id, at);

CREATE TABLE approval (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  digest bytea NOT NULL,
  status text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'expired', 'spent')),
  action text NOT NULL,
  subject jsonb NOT NULL,
  requirements jsonb NOT NULL,
  rules jsonb NOT NULL,
  reason text NOT NULL,
  decision_id uuid NOT NULL,
  run_id uuid,
  loop_id uuid,
  requester_id uuid NOT NULL,
  owner_id uuid,
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  settled_at timestamptz(3),
  spent_at timestamptz(3),
  spent_by uuid,
  CONSTRAINT approval_pkey PRIMARY KEY (org_id, id)
);
CREATE INDEX approval_org_id_status_created_at_idx ON approval (org_id, status, created_at);
CREATE INDEX approval_org_id_digest_idx ON approval (org_id, digest);
-- Two servers that open the same checkpoint at once: the second finds the first's.
CREATE UNIQUE INDEX approval_open_digest_key ON approval (org_id, digest) WHERE status IN ('pending', 'approved');

CREATE TABLE vote (
  org_id uuid NOT NULL,
  approval_id uuid NOT NULL,
  principal_id uuid NOT NULL,
  verdict text NOT NULL CHECK (verdict IN ('approve', 'reject')),
  comment text,
  at timestamptz(3) NOT NULL,
  CONSTRAINT vote_pkey PRIMARY KEY (org_id, approval_id, principal_id)
);

CREATE TABLE halt (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  scope_kind text NOT NULL CHECK (scope_kind IN ('org', 'team', 'repo', 'loop')),
  scope_id uuid,
  reason text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  created_by uuid NOT NULL,
  lifted_at timestamptz(3),
  lifted_by uuid,
  CONSTRAINT halt_pkey PRIMARY KEY (org_id, id)
);
CREATE INDEX halt_org_id_lifted_at_idx ON halt (org_id, lifted_at);

CREATE TABLE agent_session (
  org_id uuid NOT NULL,
  run_id uuid NOT NULL,
  agent_id text NOT NULL,
  root text NOT NULL,
  source text NOT NULL CHECK (source IN ('reported', 'header', 'cwd')),
  updated_at timestamptz(3) NOT NULL,
  CONSTRAINT agent_session_pkey PRIMARY KEY (org_id, run_id, agent_id)
);

-- Tenants: a row is visible and writable only under its org; no org set means no rows. Forced, so that it also holds
-- for the owner. What is written once (log, decisions, versions, votes) the server may not rewrite at all.
DO $$
DECLARE
  t text;
  append_only text[] := ARRAY['event', 'decision', 'policy_version', 'loop_version', 'vote'];
BEGIN
  FOREACH t IN ARRAY ARRAY['org', 'org_head', 'event', 'member', 'team', 'team_member', 'api_key', 'idempotency', 'repo',
    'loop', 'loop_version', 'run', 'iteration', 'lease', 'lease_key', 'policy', 'policy_version', 'decision', 'approval',
    'vote', 'halt', 'agent_session']
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format($p$CREATE POLICY tenant ON %I
      USING (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)
      WITH CHECK (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)$p$, t);
    IF t = ANY (append_only) THEN
      EXECUTE format('GRANT SELECT, INSERT ON %I TO signalbox_app', t);
    ELSE
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO signalbox_app', t);
    END IF;
  END LOOP;
  -- The three narrow functions below run as the owner, who is under row-level security like everybody.
  EXECUTE format('CREATE POLICY lookup ON api_key FOR SELECT TO %I USING (true)', current_user);
  EXECUTE format('CREATE POLICY lookup ON org FOR SELECT TO %I USING (true)', current_user);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO signalbox_app', current_schema());
END $$;

-- The one query before the org is known. Who presents the hash of a secret learns that key's org and nothing else.
CREATE FUNCTION lookup_api_key(p_hash bytea)
RETURNS TABLE (org_id uuid, id uuid, role text, member_id uuid, loop_id uuid, expires_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT k.org_id, k.id, k.role, k.member_id, k.loop_id, k.expires_at, k.revoked_at FROM api_key k WHERE k.hash = p_hash
$$;

-- Root only: whether a slug is taken, and by which org (for the replay of a creation whose answer was lost).
CREATE FUNCTION lookup_org(p_slug text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT o.org_id FROM org o WHERE o.slug = p_slug
$$;

-- Housekeeping walks the orgs one transaction each; it needs their ids and nothing of theirs.
CREATE FUNCTION list_org_ids() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT o.org_id FROM org o ORDER BY o.org_id
$$;

-- A function that runs as its owner must not find a caller's temporary table under the name of ours.
DO $$
DECLARE
  f text;
BEGIN
  FOREACH f IN ARRAY ARRAY['lookup_api_key(bytea)', 'lookup_org(text)', 'list_org_ids()'] LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());
  END LOOP;
END $$;

-- First statement of every org transaction: sets the org for row-level security and refuses a key that has been revoked
-- or has expired since it was verified, so that no cache of tokens can outlive a revocation. Returns the database's
-- clock. SB401: the key is not valid any more.
CREATE FUNCTION enter_org(p_org uuid, p_key uuid) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM set_config('signalbox.org_id', p_org::text, true);
  IF p_key IS NOT NULL AND NOT EXISTS (
    SELECT FROM api_key k WHERE k.org_id = p_org AND k.id = p_key AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
  ) THEN
    RAISE EXCEPTION 'api key is revoked or expired' USING ERRCODE = 'SB401';
  END IF;
  RETURN clock_timestamp();
END $$;

-- Appends events to the org's log: last statement of every transaction that changes anything. Locks the head row, gives
-- out the numbers, chains the hashes: hash = sha256(previous hash || seq as 8 bytes big-endian || digest), the digest
-- being the sha256 of the event's canonical JSON. With p_policy and p_halt given, SB001 if either has moved: the caller
-- rolls back and decides again. Returns the first event's seq.
CREATE FUNCTION append_events(p_org uuid, p_events jsonb, p_policy bigint, p_halt bigint, p_bump_policy boolean, p_bump_halt boolean)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  head org_head%ROWTYPE;
  link bytea;
  number bigint;
  digest text;
  links bytea[] := '{}';
BEGIN
  SELECT * INTO head FROM org_head h WHERE h.org_id = p_org FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'org has no head' USING ERRCODE = 'SB404';
  END IF;
  IF p_policy IS NOT NULL AND (head.policy_version <> p_policy OR head.halt_epoch <> p_halt) THEN
    RAISE EXCEPTION 'decided under policy version % and halt epoch %, now % and %', p_policy, p_halt, head.policy_version, head.halt_epoch
      USING ERRCODE = 'SB001';
  END IF;
  link := head.hash;
  number := head.seq;
  FOR digest IN SELECT e ->> 'digest' FROM jsonb_array_elements(p_events) WITH ORDINALITY AS t (e, n) ORDER BY n LOOP
    number := number + 1;
    link := sha256(link || int8send(number) || decode(digest, 'hex'));
    links := links || link;
  END LOOP;
  INSERT INTO event (org_id, seq, at, kind, actor, subject, data, hash)
    SELECT p_org, head.seq + n, (e ->> 'at')::timestamptz, e ->> 'kind', e -> 'actor', e -> 'subject', e -> 'data', links[n]
    FROM jsonb_array_elements(p_events) WITH ORDINALITY AS t (e, n);
  UPDATE org_head SET seq = number, hash = link,
      policy_version = policy_version + p_bump_policy::int, halt_epoch = halt_epoch + p_bump_halt::int
    WHERE org_id = p_org;
  RETURN head.seq + 1;
END $$;

REVOKE ALL ON FUNCTION lookup_api_key(bytea), lookup_org(text), list_org_ids(), enter_org(uuid, uuid),
  append_events(uuid, jsonb, bigint, bigint, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_api_key(bytea), lookup_org(text), list_org_ids(), enter_org(uuid, uuid),
  append_events(uuid, jsonb, bigint, bigint, boolean, boolean) TO signalbox_app;
