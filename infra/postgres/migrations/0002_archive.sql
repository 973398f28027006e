-- 0002: the archive. Every record of every stream for SQL, ticks included: its bytes as they were, and what can be read from them in columns.
--
-- Each is there once by (stream, partition, position): the rows of a batch and the position behind them are written in one transaction, which
-- refuses a batch that does not begin where the archive stands. So first_position + records + missed = next_position, always.

-- The streams that were archived; rows name one by its number. stream_id: its identity, hexadecimal.
CREATE TABLE reco.streams (
    stream integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space text COLLATE "C" NOT NULL,
    stream_id text COLLATE "C" NOT NULL,
    partitions integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (space, stream_id)
);

-- record_type unreadable: only raw is known, and received_at is the moment it was archived. session_id and what follows are NULL when absent.
-- properties NULL though raw has some: none that jsonb can hold.
CREATE TABLE reco.events (
    position bigint NOT NULL,
    received_at timestamptz NOT NULL,
    happened_at timestamptz,
    value double precision,
    stream integer NOT NULL,
    partition integer NOT NULL,
    shown_at integer,
    record_type text COLLATE "C" NOT NULL CHECK (record_type IN ('event', 'tick', 'erase', 'unreadable')),
    event_type text COLLATE "C",
    user_id text COLLATE "C",
    item_id text COLLATE "C",
    session_id text COLLATE "C",
    event_id text COLLATE "C",
    recommendation_id text COLLATE "C",
    segments text,
    properties jsonb,
    raw bytea NOT NULL,
    PRIMARY KEY (stream, partition, position, received_at)
) PARTITION BY RANGE (received_at);

-- The net for months that could not be made in time.
CREATE TABLE reco.events_other PARTITION OF reco.events DEFAULT;

-- Ticks have neither and cost these nothing.
CREATE INDEX events_user ON reco.events (user_id, received_at) WHERE user_id IS NOT NULL;
CREATE INDEX events_item ON reco.events (item_id, received_at) WHERE item_id IS NOT NULL;

-- How far the archive has come. missed: records that the stream had dropped before they could be archived.
CREATE TABLE reco.archive_positions (
    stream integer NOT NULL REFERENCES reco.streams,
    partition integer NOT NULL,
    first_position bigint NOT NULL,
    next_position bigint NOT NULL,
    records bigint NOT NULL,
    missed bigint NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, partition)
) WITH (fillfactor = 50);

-- Events with the name of their stream, without ticks: what most reports want.
CREATE VIEW reco.history AS
    SELECT s.space, s.stream_id, e.* FROM reco.events e JOIN reco.streams s USING (stream) WHERE e.record_type = 'event';

-- Makes the partitions of the months (UTC) from `first` to `last` that are missing; answers how many it made. Rows of such a month that the net has
-- caught move to it. Waits at most two seconds for locks of others: call it again when it fails. With its owner's rights, for those who archive need
-- not own the tables.
CREATE FUNCTION reco.events_months(first date, last date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
SET lock_timeout = '2s' AS $$
DECLARE
    month date := date_trunc('month', first)::date;
    after date;
    made integer := 0;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(8241706310415922);
    WHILE month <= last LOOP
        after := (month + interval '1 month')::date;
        name := 'events_' || to_char(month, 'YYYY_MM');
        IF to_regclass('reco.' || name) IS NULL THEN
            -- Attached, not made as a partition: that would keep everybody from the table.
            EXECUTE format('CREATE TABLE reco.%I (LIKE reco.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
            EXECUTE format('WITH moved AS (DELETE FROM reco.events_other WHERE received_at >= %1$L AND received_at < %2$L RETURNING *)'
                ' INSERT INTO reco.%3$I SELECT * FROM moved', month || ' 00:00:00+00', after || ' 00:00:00+00', name);
            EXECUTE format('ALTER TABLE reco.events ATTACH PARTITION reco.%I FOR VALUES FROM (%L) TO (%L)', name, month || ' 00:00:00+00',
                after || ' 00:00:00+00');
            made := made + 1;
        END IF;
        month := after;
    END LOOP;
    RETURN made;
END $$;

-- One batch: the records of a partition from in_from up to in_to, and the archive's position behind them. SQLSTATE RC002: the archive stands
-- elsewhere, another archiver was faster.
CREATE FUNCTION reco.archive(in_space text, in_stream text, in_partitions integer, in_partition integer, in_from bigint, in_to bigint,
    positions bigint[], received timestamptz[], types text[], happened timestamptz[], event_types text[], users text[], items text[],
    sessions text[], event_ids text[], recommendations text[], given_values double precision[], shown integer[], given_segments text[],
    given_properties text[], raws bytea[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    number integer;
    made bigint := cardinality(raws);
    clean boolean := true;
BEGIN
    SELECT s.stream INTO number FROM reco.streams s WHERE s.space = in_space AND s.stream_id = in_stream;
    IF NOT FOUND THEN
        INSERT INTO reco.streams (space, stream_id, partitions) VALUES (in_space, in_stream, in_partitions) ON CONFLICT DO NOTHING;
        SELECT s.stream INTO number FROM reco.streams s WHERE s.space = in_space AND s.stream_id = in_stream;
    END IF;
    UPDATE reco.archive_positions p SET next_position = in_to, records = p.records + made, missed = p.missed + in_to - in_from - made, moved_at = now()
    WHERE p.stream = number AND p.partition = in_partition AND p.next_position = in_from;
    IF NOT FOUND THEN
        INSERT INTO reco.archive_positions (stream, partition, first_position, next_position, records, missed)
        VALUES (number, in_partition, in_from, in_to, made, in_to - in_from - made) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'RC002', MESSAGE = format('the archive of partition %s does not stand at %s', in_partition, in_from);
        END IF;
    END IF;
    -- Nearly always all properties are something that jsonb holds: then no row pays for a look of its own.
    BEGIN
        PERFORM p::jsonb FROM unnest(given_properties) p WHERE p IS NOT NULL;
    EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
        clean := false;
    END;
    INSERT INTO reco.events (position, received_at, happened_at, value, stream, partition, shown_at, record_type, event_type, user_id, item_id,
        session_id, event_id, recommendation_id, segments, properties, raw)
    SELECT g.position, g.received_at, g.happened_at, g.value, number, in_partition, g.shown_at, g.record_type, g.event_type, g.user_id, g.item_id,
        g.session_id, g.event_id, g.recommendation_id, g.segments,
        CASE WHEN clean THEN g.properties::jsonb ELSE reco.as_json(g.properties) END, g.raw
    FROM unnest(positions, received, types, happened, event_types, users, items, sessions, event_ids, recommendations, given_values, shown,
        given_segments, given_properties, raws) AS g (position, received_at, record_type, happened_at, event_type, user_id, item_id, session_id,
        event_id, recommendation_id, value, shown_at, segments, properties, raw);
END $$;

INSERT INTO reco.migrations (version, name) VALUES (2, 'archive');
