-- The change ledger: what a commit did to which file, on whose account, and under which leases. Written once.
CREATE TABLE change (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  repo_id uuid NOT NULL,
  commit text NOT NULL,
  digest bytea NOT NULL,
  run_id uuid,
  loop_id uuid,
  recorded_by uuid NOT NULL,
  intent text,
  at timestamptz(3) NOT NULL,
  committed_at timestamptz(3),
  file_count integer NOT NULL,
  files_omitted integer NOT NULL,
  unleased_count integer NOT NULL,
  leases jsonb NOT NULL,
  stale jsonb NOT NULL,
  undoes uuid[],
  verdict text NOT NULL CHECK (verdict IN ('clear', 'held')),
  reverts jsonb NOT NULL,
  CONSTRAINT change_pkey PRIMARY KEY (org_id, id)
);
-- A commit is recorded once, whoever reports it.
CREATE UNIQUE INDEX change_org_id_repo_id_commit_key ON change (org_id, repo_id, commit);
CREATE INDEX change_org_id_repo_id_at_idx ON change (org_id, repo_id, at);
CREATE INDEX change_org_id_run_id_at_idx ON change (org_id, run_id, at);

-- `key` is the path folded and cut, as in lease_key: a B-tree entry must stay below a third of a page.
CREATE TABLE change_file (
  org_id uuid NOT NULL,
  change_id uuid NOT NULL,
  ordinal integer NOT NULL,
  repo_id uuid NOT NULL,
  path text NOT NULL,
  key text COLLATE "C" NOT NULL,
  before_blob text,
  after_blob text,
  leased boolean NOT NULL,
  at timestamptz(3) NOT NULL,
  CONSTRAINT change_file_pkey PRIMARY KEY (org_id, change_id, ordinal)
);
CREATE INDEX change_file_org_id_repo_id_key_at_idx ON change_file (org_id, repo_id, key, at);

-- One row per repo that has changes, locked by whoever records one: a ledger of its own order, in which a long report
-- does not hold up the repo's leases.
CREATE TABLE change_head (
  org_id uuid NOT NULL,
  repo_id uuid NOT NULL,
  CONSTRAINT change_head_pkey PRIMARY KEY (org_id, repo_id)
);

DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['change', 'change_file', 'change_head'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format($p$CREATE POLICY tenant ON %I
      USING (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)
      WITH CHECK (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)$p$, t);
    EXECUTE format('GRANT SELECT, INSERT ON %I TO signalbox_app', t);
  END LOOP;
END $$;
-- To lock a row takes the right to update it.
GRANT UPDATE ON change_head TO signalbox_app;
