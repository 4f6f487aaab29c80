-- Where housekeeping has anything to do, of which table's rows: an org in which nothing is due costs some index look-ups, and no
-- transactions of its own. More than is due may be named, never less: the chores look again.
--
-- Under the caller's rights, org by org: nobody is shown another org's rows for it.
CREATE FUNCTION chores_due(OUT org uuid, OUT tables text[]) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
DECLARE
  before text := current_setting('signalbox.org_id', true);
BEGIN
  FOR org IN SELECT list_org_ids() LOOP
    PERFORM set_config('signalbox.org_id', org::text, true);
    tables := array_remove(ARRAY[
      -- The least that stallSeconds can be set to.
      CASE WHEN EXISTS (
        SELECT FROM run r WHERE r.org_id = org AND r.status = 'running' AND r.last_beat_at < clock_timestamp() - interval '10 seconds'
      ) THEN 'run' END,
      CASE WHEN EXISTS (
        SELECT FROM idempotency i WHERE i.org_id = org AND i.created_at < clock_timestamp() - interval '48 hours'
      ) THEN 'idempotency' END,
      -- Keys are kept of what is open, or was revoked lately.
      CASE WHEN EXISTS (SELECT FROM lease_key k WHERE k.org_id = org) THEN 'lease' END,
      CASE WHEN EXISTS (SELECT FROM lease_waiter w WHERE w.org_id = org AND w.status = 'waiting')
        OR EXISTS (
          SELECT FROM lease_waiter w WHERE w.org_id = org AND w.status <> 'waiting' AND w.settled_at < clock_timestamp() - interval '48 hours'
        ) THEN 'lease_waiter' END,
      CASE WHEN EXISTS (
        SELECT FROM approval a WHERE a.org_id = org AND a.status IN ('pending', 'approved') AND a.expires_at <= clock_timestamp()
      ) THEN 'approval' END
    ], NULL);
    IF tables <> '{}' THEN
      RETURN NEXT;
    END IF;
  END LOOP;
  PERFORM set_config('signalbox.org_id', coalesce(before, ''), true);
END $$;

REVOKE ALL ON FUNCTION chores_due() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_due() TO signalbox_app;
