-- 0002: the archive. Raw events for SQL, partitioned by the time of their receipt, each there once by (stream, partition, position).

CREATE TABLE reco.events (
    space text COLLATE "C" NOT NULL,
    stream_id text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    position bigint NOT NULL,
    received_at timestamptz NOT NULL,
    record_type text NOT NULL DEFAULT 'event' CHECK (record_type IN ('event', 'tick', 'erase')),
    happened_at timestamptz,
    event_type text,
    user_id text COLLATE "C",
    item_id text COLLATE "C",
    session_id text COLLATE "C",
    event_id text COLLATE "C",
    recommendation_id text COLLATE "C",
    value double precision,
    shown_at integer,
    properties jsonb,
    PRIMARY KEY (stream_id, partition, position, received_at)
) PARTITION BY RANGE (received_at);

CREATE TABLE reco.events_other PARTITION OF reco.events DEFAULT;

CREATE INDEX events_user ON reco.events (space, user_id, received_at);
CREATE INDEX events_item ON reco.events (space, item_id, received_at);

-- How far the archive has come; moved in the transaction that adds the events, so that each is there exactly once.
CREATE TABLE reco.archive_positions (
    stream_id text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    next_position bigint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, partition)
);

-- Makes the partitions of the months (UTC) from `first` to `last` that are missing; answers how many it made. Call it ahead of time: rows that
-- have already gone to events_other keep the partition of their month from being made.
CREATE FUNCTION reco.events_months(first date, last date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', first)::date;
    made integer := 0;
    name text;
BEGIN
    WHILE month <= last LOOP
        name := 'events_' || to_char(month, 'YYYY_MM');
        IF to_regclass('reco.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE reco.%I PARTITION OF reco.events FOR VALUES FROM (%L) TO (%L)', name, month || ' 00:00:00+00',
                (month + interval '1 month')::date || ' 00:00:00+00');
            made := made + 1;
        END IF;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END $$;

INSERT INTO reco.migrations (version, name) VALUES (2, 'archive');
