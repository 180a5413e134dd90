-- What OsteoNode made of an empty database when its tables were of version 6; never to be changed.
CREATE TABLE conditions (
  contact VARCHAR(32) NOT NULL,
  subject VARCHAR(200) NOT NULL,
  began_at DOUBLE PRECISION NOT NULL,
  told BOOLEAN NOT NULL,
  PRIMARY KEY (contact, subject)
);

CREATE TABLE discards (
  study_uid VARCHAR(64) NOT NULL,
  rule VARCHAR(64) NOT NULL,
  count INTEGER NOT NULL,
  first_at DOUBLE PRECISION NOT NULL,
  last_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (study_uid, rule)
);

CREATE TABLE examinations (
  study_uid VARCHAR(64) NOT NULL,
  patient_key VARCHAR(64) NOT NULL,
  revision INTEGER NOT NULL,
  recorded_at DOUBLE PRECISION NOT NULL,
  scores TEXT NOT NULL,
  PRIMARY KEY (study_uid)
);

CREATE INDEX ix_examinations_patient_key ON examinations (patient_key);

CREATE TABLE happenings (
  id SERIAL NOT NULL,
  event_id VARCHAR(36) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  at DOUBLE PRECISION NOT NULL,
  reason TEXT NOT NULL,
  answers TEXT,
  PRIMARY KEY (id)
);

CREATE TABLE history (
  id SERIAL NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  at DOUBLE PRECISION NOT NULL,
  event VARCHAR(20) NOT NULL,
  state VARCHAR(20) NOT NULL,
  revision INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX ix_history_study_uid ON history (study_uid);

CREATE TABLE instances (
  sop_uid VARCHAR(64) NOT NULL,
  series_uid VARCHAR(64) NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  sop_class_uid VARCHAR(64) NOT NULL,
  transfer_syntax_uid VARCHAR(64) NOT NULL,
  sha256 VARCHAR(64) NOT NULL,
  size BIGINT NOT NULL,
  patient_key VARCHAR(64) NOT NULL,
  calling_ae VARCHAR(16) NOT NULL,
  host VARCHAR(64) NOT NULL,
  received_at DOUBLE PRECISION NOT NULL,
  arrival_group BIGINT NOT NULL,
  PRIMARY KEY (sop_uid)
);

CREATE INDEX ix_instances_arrival_group ON instances (arrival_group);

CREATE INDEX ix_instances_study_uid ON instances (study_uid);

CREATE TABLE notices (
  id SERIAL NOT NULL,
  event_id VARCHAR(36) NOT NULL,
  contact VARCHAR(32) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  at DOUBLE PRECISION NOT NULL,
  facts TEXT NOT NULL,
  state VARCHAR(16) NOT NULL,
  attempts INTEGER NOT NULL,
  reason TEXT NOT NULL,
  batch VARCHAR(36),
  not_before DOUBLE PRECISION NOT NULL,
  changed_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (contact, event_id)
);

CREATE INDEX ix_notices_study_uid ON notices (study_uid);

CREATE INDEX notices_by_state ON notices (contact, state, not_before);

CREATE TABLE quarantine (
  name VARCHAR(64) NOT NULL,
  sop_uid VARCHAR(64) NOT NULL,
  reason TEXT NOT NULL,
  calling_ae VARCHAR(16) NOT NULL,
  host VARCHAR(64) NOT NULL,
  at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE results (
  sop_uid VARCHAR(64) NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  revision INTEGER NOT NULL,
  kind VARCHAR(16) NOT NULL,
  sop_class_uid VARCHAR(64) NOT NULL,
  series_uid VARCHAR(64) NOT NULL,
  name TEXT NOT NULL,
  created_at DOUBLE PRECISION NOT NULL,
  current BOOLEAN NOT NULL,
  set_key VARCHAR(64) NOT NULL,
  replaced TEXT NOT NULL,
  compared TEXT,
  PRIMARY KEY (sop_uid)
);

CREATE INDEX ix_results_study_uid ON results (study_uid);

CREATE TABLE studies (
  study_uid VARCHAR(64) NOT NULL,
  state VARCHAR(20) NOT NULL,
  reason TEXT NOT NULL,
  changed_at DOUBLE PRECISION NOT NULL,
  first_arrival DOUBLE PRECISION NOT NULL,
  last_arrival DOUBLE PRECISION NOT NULL,
  revision INTEGER NOT NULL,
  deadline DOUBLE PRECISION,
  wait_until DOUBLE PRECISION NOT NULL,
  attempts INTEGER NOT NULL,
  summary TEXT NOT NULL,
  reasons TEXT,
  unexplained TEXT,
  lease_token VARCHAR(64),
  lease_owner VARCHAR(64),
  lease_until DOUBLE PRECISION,
  PRIMARY KEY (study_uid)
);

CREATE INDEX studies_by_change ON studies (changed_at);

CREATE INDEX studies_by_state ON studies (state, deadline);

CREATE TABLE transfers (
  association VARCHAR(64) NOT NULL,
  series_uid VARCHAR(64) NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  cut_off_at DOUBLE PRECISION,
  PRIMARY KEY (association, series_uid, study_uid)
);

CREATE INDEX ix_transfers_study_uid ON transfers (study_uid);

CREATE TABLE wish_batches (
  name VARCHAR(64) NOT NULL,
  archive VARCHAR(32) NOT NULL,
  words TEXT NOT NULL,
  asked_at DOUBLE PRECISION NOT NULL,
  priority INTEGER NOT NULL,
  sends_old BOOLEAN NOT NULL,
  paused BOOLEAN NOT NULL,
  missing TEXT NOT NULL,
  before INTEGER NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE wishes (
  archive VARCHAR(32) NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  batch VARCHAR(64) NOT NULL,
  priority INTEGER NOT NULL,
  state VARCHAR(20) NOT NULL,
  reason TEXT NOT NULL,
  queued_at DOUBLE PRECISION NOT NULL,
  changed_at DOUBLE PRECISION NOT NULL,
  not_before DOUBLE PRECISION NOT NULL,
  begun_at DOUBLE PRECISION,
  attempts INTEGER NOT NULL,
  study_date VARCHAR(10),
  series TEXT NOT NULL,
  images INTEGER NOT NULL,
  was_here BOOLEAN NOT NULL,
  sends_old BOOLEAN NOT NULL,
  told INTEGER,
  lease_token VARCHAR(64),
  lease_until DOUBLE PRECISION,
  PRIMARY KEY (archive, study_uid)
);

CREATE INDEX ix_wishes_batch ON wishes (batch);

CREATE INDEX ix_wishes_study_uid ON wishes (study_uid);

CREATE INDEX wishes_by_begin ON wishes (archive, begun_at);

CREATE INDEX wishes_in_order ON wishes (archive, state, priority, queued_at, study_uid);

CREATE TABLE deliveries (
  id SERIAL NOT NULL,
  destination VARCHAR(32) NOT NULL,
  sop_uid VARCHAR(64) NOT NULL,
  study_uid VARCHAR(64) NOT NULL,
  state VARCHAR(32) NOT NULL,
  attempts INTEGER NOT NULL,
  tried BOOLEAN NOT NULL,
  status INTEGER,
  reason TEXT NOT NULL,
  not_before DOUBLE PRECISION NOT NULL,
  changed_at DOUBLE PRECISION NOT NULL,
  lease_token VARCHAR(64),
  lease_until DOUBLE PRECISION,
  transaction_uid VARCHAR(64),
  PRIMARY KEY (id),
  UNIQUE (destination, sop_uid),
  FOREIGN KEY(sop_uid) REFERENCES results (sop_uid)
);

CREATE INDEX deliveries_by_state ON deliveries (destination, state, not_before);

CREATE INDEX ix_deliveries_study_uid ON deliveries (study_uid);

CREATE INDEX ix_deliveries_transaction_uid ON deliveries (transaction_uid);

CREATE TABLE schema_version (
  version INTEGER NOT NULL,
  PRIMARY KEY (version)
);

INSERT INTO schema_version (version) VALUES (6);
