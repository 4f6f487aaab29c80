-- What reached production, and what broke. Written once: a deploy that was undone is another deploy.
CREATE TABLE deploy (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  repo_id uuid NOT NULL,
  service text NOT NULL,
  environment text NOT NULL,
  commit text NOT NULL,
  previous_commit text,
  -- The newest change in it: where the next deploy goes on from. Positions in a repo are (change.at, change.id).
  head_change_id uuid NOT NULL,
  basis text NOT NULL CHECK (basis IN ('commits', 'between', 'since_last', 'first')),
  rollback boolean NOT NULL,
  change_count integer NOT NULL,
  changes_omitted integer NOT NULL,
  unknown_commits text[],
  at timestamptz(3) NOT NULL,
  recorded_at timestamptz(3) NOT NULL,
  recorded_by uuid NOT NULL,
  CONSTRAINT deploy_pkey PRIMARY KEY (org_id, id)
);
CREATE INDEX deploy_org_id_at_idx ON deploy (org_id, at);
CREATE INDEX deploy_org_id_repo_id_service_environment_at_idx ON deploy (org_id, repo_id, service, environment, at);

CREATE TABLE deploy_change (
  org_id uuid NOT NULL,
  deploy_id uuid NOT NULL,
  change_id uuid NOT NULL,
  -- exact: a commit that the deploy named. inferred: recorded in that stretch of the ledger.
  edge text NOT NULL CHECK (edge IN ('exact', 'inferred')),
  CONSTRAINT deploy_change_pkey PRIMARY KEY (org_id, deploy_id, change_id)
);
CREATE INDEX deploy_change_org_id_change_id_idx ON deploy_change (org_id, change_id);

CREATE TABLE incident (
  org_id uuid NOT NULL,
  id uuid NOT NULL,
  title text NOT NULL,
  service text,
  environment text,
  started_at timestamptz(3) NOT NULL,
  evidence jsonb NOT NULL,
  opened_at timestamptz(3) NOT NULL,
  opened_by uuid NOT NULL,
  CONSTRAINT incident_pkey PRIMARY KEY (org_id, id)
);

DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['deploy', 'deploy_change', 'incident'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format($p$CREATE POLICY tenant ON %I
      USING (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)
      WITH CHECK (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)$p$, t);
    EXECUTE format('GRANT SELECT, INSERT ON %I TO signalbox_app', t);
  END LOOP;
END $$;
