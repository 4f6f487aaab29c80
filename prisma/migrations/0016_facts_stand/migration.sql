-- After a batch has written, when the head row is its own: SB001 if something has changed meanwhile that decisions go by (a loop's
-- scope or guardrails, teams, keys, settings). Policies and halts have versions of their own.
CREATE FUNCTION demand_facts(p_org uuid, p_facts bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF (SELECT h.facts_version FROM org_head h WHERE h.org_id = p_org) <> p_facts THEN
    RAISE EXCEPTION 'what it was decided by has changed meanwhile' USING ERRCODE = 'SB001';
  END IF;
END $$;
REVOKE ALL ON FUNCTION demand_facts(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION demand_facts(uuid, bigint) TO signalbox_app;
