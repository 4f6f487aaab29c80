-- Spans and log records: one partition a day (UTC) of when they began, so that retention drops tables and deletes no
-- rows. What is searched by has a column; all the rest is JSON as it came. No foreign keys, as in every hot table.
CREATE TABLE span (
  org_id uuid NOT NULL,
  day date NOT NULL,
  trace_id bytea NOT NULL,
  span_id bytea NOT NULL,
  parent_span_id bytea,
  start_nanos bigint NOT NULL,
  end_nanos bigint NOT NULL,
  name text NOT NULL,
  kind smallint NOT NULL,
  status smallint NOT NULL,
  service text,
  loop_id uuid,
  run_id uuid,
  link text CHECK (link IN ('exact', 'inferred')),
  session_id text,
  model text,
  input_tokens bigint,
  output_tokens bigint,
  attributes jsonb NOT NULL,
  resource jsonb NOT NULL,
  details jsonb NOT NULL,
  CONSTRAINT span_pkey PRIMARY KEY (org_id, trace_id, span_id, day)
) PARTITION BY RANGE (day);
CREATE INDEX span_org_id_start_nanos_idx ON span (org_id, start_nanos);
CREATE INDEX span_org_id_loop_id_start_nanos_idx ON span (org_id, loop_id, start_nanos) WHERE loop_id IS NOT NULL;
CREATE INDEX span_org_id_run_id_start_nanos_idx ON span (org_id, run_id, start_nanos) WHERE run_id IS NOT NULL;

CREATE TABLE log_record (
  org_id uuid NOT NULL,
  day date NOT NULL,
  digest bytea NOT NULL,
  time_nanos bigint NOT NULL,
  observed_nanos bigint,
  severity smallint NOT NULL,
  severity_text text,
  event_name text,
  service text,
  trace_id bytea,
  span_id bytea,
  loop_id uuid,
  run_id uuid,
  link text CHECK (link IN ('exact', 'inferred')),
  session_id text,
  body jsonb NOT NULL,
  attributes jsonb NOT NULL,
  resource jsonb NOT NULL,
  details jsonb NOT NULL,
  CONSTRAINT log_record_pkey PRIMARY KEY (org_id, digest, day)
) PARTITION BY RANGE (day);
CREATE INDEX log_record_org_id_time_nanos_idx ON log_record (org_id, time_nanos);
CREATE INDEX log_record_org_id_run_id_time_nanos_idx ON log_record (org_id, run_id, time_nanos) WHERE run_id IS NOT NULL;
CREATE INDEX log_record_org_id_trace_id_idx ON log_record (org_id, trace_id) WHERE trace_id IS NOT NULL;

-- From when to when a trace goes: one trace by its id opens the partitions of those days and no other.
CREATE TABLE trace_window (
  org_id uuid NOT NULL,
  trace_id bytea NOT NULL,
  min_nanos bigint NOT NULL,
  max_nanos bigint NOT NULL,
  CONSTRAINT trace_window_pkey PRIMARY KEY (org_id, trace_id)
);

-- Telemetry names a session, the runs of which may long have ended.
CREATE INDEX run_org_id_session_id_idx ON run (org_id, session_id) WHERE session_id IS NOT NULL;

-- Makes a table one of a tenant's: see 0001_init. Spans are never rewritten by the server.
CREATE FUNCTION guard_telemetry(p_table text, p_privileges text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', p_table);
  EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', p_table);
  EXECUTE format($p$CREATE POLICY tenant ON %I
    USING (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('signalbox.org_id', true), '')::uuid)$p$, p_table);
  EXECUTE format('GRANT %s ON %I TO signalbox_app', p_privileges, p_table);
END $$;

-- The partitions of a day, of spans and of log records. The server owns nothing and creates no table but through this,
-- and only for days near today: who sends spans of every day since 1970 must not fill the catalogue. A partition is
-- guarded before it is attached; reached by its own name it shows no more than through its parent. Attached, and not
-- created in place: that would wait for every transaction under way on the parent, and stop all that come behind.
CREATE FUNCTION ensure_span_partition(p_day date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  parent text;
  leaf text;
BEGIN
  IF p_day < today - 92 OR p_day > today + 2 THEN
    RAISE EXCEPTION 'no partition for %: it is too far from today', p_day USING ERRCODE = '22008';
  END IF;
  FOREACH parent IN ARRAY ARRAY['span', 'log_record'] LOOP
    leaf := format('%s_%s', parent, to_char(p_day, 'YYYYMMDD'));
    CONTINUE WHEN to_regclass(format('%I.%I', current_schema(), leaf)) IS NOT NULL;
    -- Another server may be at it: whoever comes second finds it done.
    -- By a query with its own snapshot: to_regclass may answer from a cache that an advisory lock does not refresh.
    PERFORM pg_advisory_xact_lock(hashtext('signalbox.ensure_span_partition'));
    CONTINUE WHEN EXISTS (SELECT FROM pg_class c WHERE c.relname = leaf AND c.relnamespace = current_schema()::regnamespace);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', leaf, parent);
    PERFORM guard_telemetry(leaf, 'SELECT, INSERT');
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, leaf, p_day, p_day + 1);
  END LOOP;
END $$;

-- The connection's staging tables, once a connection. They belong to this function's owner: the server's role owns nothing,
-- not even for as long as a connection lasts; what a crash leaves behind would keep the next server from starting.
CREATE FUNCTION stage_telemetry() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
BEGIN
  CREATE TEMPORARY TABLE span_stage (LIKE span) ON COMMIT DELETE ROWS;
  CREATE TEMPORARY TABLE log_record_stage (LIKE log_record) ON COMMIT DELETE ROWS;
  GRANT SELECT, INSERT ON pg_temp.span_stage, pg_temp.log_record_stage TO signalbox_app;
END $$;

DO $$
DECLARE
  f text;
BEGIN
  FOREACH f IN ARRAY ARRAY['guard_telemetry(text, text)', 'ensure_span_partition(date)', 'stage_telemetry()'] LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());
  END LOOP;
  PERFORM guard_telemetry('span', 'SELECT, INSERT');
  PERFORM guard_telemetry('log_record', 'SELECT, INSERT');
  PERFORM guard_telemetry('trace_window', 'SELECT, INSERT, UPDATE, DELETE');
END $$;

REVOKE ALL ON FUNCTION guard_telemetry(text, text), ensure_span_partition(date), stage_telemetry() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_span_partition(date), stage_telemetry() TO signalbox_app;
