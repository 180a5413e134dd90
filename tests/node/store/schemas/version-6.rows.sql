-- A study on its way to a PACS, as a node with tables of version 6 noted it.
INSERT INTO studies
  (study_uid, state, reason, changed_at, first_arrival, last_arrival, revision, wait_until, attempts, summary)
VALUES ('1.2.826.0.1.1', 'delivering', 'as it was', 7.5, 1.0, 2.0, 3, 9.0, 0, '{}');

INSERT INTO results
  (sop_uid, study_uid, revision, kind, sop_class_uid, series_uid, name, created_at, current, set_key, replaced)
VALUES ('1.3', '1.2.826.0.1.1', 3, 'sr', '1.4', '1.5', 'a.dcm', 7.0, true, 'k', '[]');

INSERT INTO deliveries
  (destination, sop_uid, study_uid, state, attempts, tried, reason, not_before, changed_at)
VALUES ('pacs', '1.3', '1.2.826.0.1.1', 'waiting', 2, true, 'it cannot be reached', 8.0, 8.0);
