-- The schema of libreco on PostgreSQL 15 or later, as the migrations leave it: for reading, and for setting up a database by hand
-- (psql -v ON_ERROR_STOP=1 -1 -f schema.sql). libreco sets up a fresh database by itself, from migrations/, which it carries inside.
-- A test compares the two.

-- Records. What is known: items, users, models, experiments, keys, and the log of their changes.
--
-- A record is the JSON document its owner put, kept letter by letter in "document". The other columns are derived from it for people's queries and
-- are rewritten with it: change a record through reco.change(), never a column by hand. A document that is no JSON object leaves them NULL.
-- Ids are ordered by their bytes, hence COLLATE "C" everywhere.

DO $$ BEGIN
    IF to_regnamespace('reco') IS NULL THEN CREATE SCHEMA reco; END IF;
END $$;

CREATE TABLE reco.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- One row per namespace. Every change locks it: the numbers in reco.changes have no gaps, and a reader that sees one sees all before it.
CREATE TABLE reco.spaces (
    space text COLLATE "C" PRIMARY KEY,
    newest bigint NOT NULL DEFAULT 0,
    documents bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE reco.items (
    space text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    title text,
    categories text[],
    available_from timestamptz,
    available_until timestamptz,
    hidden boolean NOT NULL DEFAULT false,
    attributes jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    document text NOT NULL,
    parent text COLLATE "C",
    PRIMARY KEY (space, item_id)
);
CREATE INDEX items_parent ON reco.items (space, parent) WHERE parent IS NOT NULL;

CREATE TABLE reco.users (
    space text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    segment text,
    attributes jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    document text NOT NULL,
    PRIMARY KEY (space, user_id)
);

CREATE TABLE reco.models (
    space text COLLATE "C" NOT NULL,
    model_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    state text,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    document text NOT NULL,
    PRIMARY KEY (space, model_id)
);

CREATE TABLE reco.experiments (
    space text COLLATE "C" NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    state text,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    document text NOT NULL,
    PRIMARY KEY (space, experiment_id)
);

-- Secrets of the namespace: nothing is derived from them, and the change feed never tells them.
CREATE TABLE reco.keys (
    space text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    document text NOT NULL,
    PRIMARY KEY (space, key_id)
);
REVOKE ALL ON reco.keys FROM PUBLIC;

-- The change log: what changed, not what to. kind: 1 item, 2 user, 3 model, 4 experiment, 5 key.
CREATE TABLE reco.changes (
    space text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    id text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (space, sequence)
);

-- NULL when the text is no JSON, or none that jsonb can hold (such as \u0000 in a string).
CREATE FUNCTION reco.as_json(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN given::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
    RETURN NULL;
END $$;

-- Milliseconds since 1970 or RFC 3339; 0 and anything else: NULL.
CREATE FUNCTION reco.as_time(given jsonb) RETURNS timestamptz LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(given) = 'number' AND given <> '0'::jsonb THEN
        RETURN timestamptz 'epoch' + (given #>> '{}')::numeric * interval '1 millisecond';
    ELSIF jsonb_typeof(given) = 'string' THEN
        RETURN (given #>> '{}')::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

CREATE FUNCTION reco.as_texts(given jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(given) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(given)) END
$$;

-- All changes of one call, in order, or none; answers the newest number afterwards.
-- modes: bits 0-1: 1 always changes, 2 only when the record was there before the call, 3 only when it was not; bit 2: what remains of this record.
-- Within one call the fate of a record's later changes follows from its first, so the caller settles it and leaves out what changes nothing;
-- documents are given for what remains only. expected: the sequence a record must be at before anything is done, 0 when it must be missing, NULL
-- when that does not matter. SQLSTATE RC001: more than `most_bytes` of documents in the namespace (0: no limit); RC003: a record is not where it is
-- expected.
CREATE FUNCTION reco.change(in_space text, kinds smallint[], modes smallint[], ids text[], documents text[], most_bytes bigint,
    expected bigint[] DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    old reco.spaces;
    made bigint;
    more_documents bigint;
    more_bytes bigint;
BEGIN
    SELECT * INTO old FROM reco.spaces s WHERE s.space = in_space FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO reco.spaces (space) VALUES (in_space) ON CONFLICT DO NOTHING;
        SELECT * INTO old FROM reco.spaces s WHERE s.space = in_space FOR UPDATE;
    END IF;
    IF array_remove(expected, NULL) <> '{}' AND EXISTS (
        SELECT FROM unnest(kinds, ids, expected) AS g (kind, id, sequence)
        WHERE g.sequence <> coalesce(CASE g.kind
                WHEN 1 THEN (SELECT t.sequence FROM reco.items t WHERE t.space = in_space AND t.item_id = g.id)
                WHEN 2 THEN (SELECT t.sequence FROM reco.users t WHERE t.space = in_space AND t.user_id = g.id)
                WHEN 3 THEN (SELECT t.sequence FROM reco.models t WHERE t.space = in_space AND t.model_id = g.id)
                WHEN 4 THEN (SELECT t.sequence FROM reco.experiments t WHERE t.space = in_space AND t.experiment_id = g.id)
                WHEN 5 THEN (SELECT t.sequence FROM reco.keys t WHERE t.space = in_space AND t.key_id = g.id)
            END, 0)) THEN
        RAISE EXCEPTION USING ERRCODE = 'RC003', MESSAGE = 'a record was changed since it was read';
    END IF;
    -- Looked up row by row through the primary keys and joined with nothing: no estimate can turn a large call into a quadratic plan.
    WITH judged AS MATERIALIZED (
        SELECT g.place, g.kind, g.mode, g.id, g.document,
            CASE g.kind
                WHEN 1 THEN (SELECT octet_length(t.document) FROM reco.items t WHERE t.space = in_space AND t.item_id = g.id)
                WHEN 2 THEN (SELECT octet_length(t.document) FROM reco.users t WHERE t.space = in_space AND t.user_id = g.id)
                WHEN 3 THEN (SELECT octet_length(t.document) FROM reco.models t WHERE t.space = in_space AND t.model_id = g.id)
                WHEN 4 THEN (SELECT octet_length(t.document) FROM reco.experiments t WHERE t.space = in_space AND t.experiment_id = g.id)
                WHEN 5 THEN (SELECT octet_length(t.document) FROM reco.keys t WHERE t.space = in_space AND t.key_id = g.id)
            END AS size
        FROM unnest(kinds, modes, ids, documents) WITH ORDINALITY AS g (kind, mode, id, document, place)
    ), counted AS MATERIALIZED (
        SELECT j.kind, j.mode & 4 <> 0 AS remains, j.id, j.document, j.size, old.newest + row_number() OVER (ORDER BY j.place) AS sequence
        FROM judged j
        WHERE j.mode & 3 = 1 OR (j.mode & 3 = 2 AND j.size IS NOT NULL) OR (j.mode & 3 = 3 AND j.size IS NULL)
    ), logged AS (
        INSERT INTO reco.changes (space, sequence, kind, id) SELECT in_space, c.sequence, c.kind, c.id FROM counted c
    ), put_items AS (
        INSERT INTO reco.items AS t (space, item_id, sequence, title, parent, categories, available_from, available_until, hidden, attributes,
            document)
        SELECT in_space, c.id, c.sequence, v.json ->> 'title', v.json ->> 'parent', reco.as_texts(v.json -> 'categories'),
            reco.as_time(v.json -> 'available_from'), reco.as_time(v.json -> 'available_until'),
            coalesce(v.json -> 'hidden' = 'true'::jsonb, false), v.json -> 'attributes', c.document
        FROM counted c CROSS JOIN LATERAL (SELECT reco.as_json(c.document) AS json OFFSET 0) v
        WHERE c.kind = 1 AND c.remains AND c.document IS NOT NULL
        ON CONFLICT (space, item_id) DO UPDATE SET sequence = excluded.sequence, title = excluded.title, parent = excluded.parent,
            categories = excluded.categories, available_from = excluded.available_from, available_until = excluded.available_until,
            hidden = excluded.hidden, attributes = excluded.attributes, changed_at = excluded.changed_at, document = excluded.document
    ), put_users AS (
        INSERT INTO reco.users AS t (space, user_id, sequence, segment, attributes, document)
        SELECT in_space, c.id, c.sequence, v.json ->> 'segment', v.json -> 'attributes', c.document
        FROM counted c CROSS JOIN LATERAL (SELECT reco.as_json(c.document) AS json OFFSET 0) v
        WHERE c.kind = 2 AND c.remains AND c.document IS NOT NULL
        ON CONFLICT (space, user_id) DO UPDATE SET sequence = excluded.sequence, segment = excluded.segment, attributes = excluded.attributes,
            changed_at = excluded.changed_at, document = excluded.document
    ), put_models AS (
        INSERT INTO reco.models AS t (space, model_id, sequence, state, body, document)
        SELECT in_space, c.id, c.sequence, v.json ->> 'state', v.json, c.document
        FROM counted c CROSS JOIN LATERAL (SELECT reco.as_json(c.document) AS json OFFSET 0) v
        WHERE c.kind = 3 AND c.remains AND c.document IS NOT NULL
        ON CONFLICT (space, model_id) DO UPDATE SET sequence = excluded.sequence, state = excluded.state, body = excluded.body,
            changed_at = excluded.changed_at, document = excluded.document
    ), put_experiments AS (
        INSERT INTO reco.experiments AS t (space, experiment_id, sequence, state, body, document)
        SELECT in_space, c.id, c.sequence, v.json ->> 'state', v.json, c.document
        FROM counted c CROSS JOIN LATERAL (SELECT reco.as_json(c.document) AS json OFFSET 0) v
        WHERE c.kind = 4 AND c.remains AND c.document IS NOT NULL
        ON CONFLICT (space, experiment_id) DO UPDATE SET sequence = excluded.sequence, state = excluded.state, body = excluded.body,
            changed_at = excluded.changed_at, document = excluded.document
    ), put_keys AS (
        INSERT INTO reco.keys AS t (space, key_id, sequence, document)
        SELECT in_space, c.id, c.sequence, c.document FROM counted c
        WHERE c.kind = 5 AND c.remains AND c.document IS NOT NULL
        ON CONFLICT (space, key_id) DO UPDATE SET sequence = excluded.sequence, changed_at = excluded.changed_at, document = excluded.document
    ), gone_items AS (
        DELETE FROM reco.items t WHERE t.space = in_space AND t.item_id = ANY (ARRAY(
            SELECT c.id FROM counted c WHERE c.kind = 1 AND c.remains AND c.document IS NULL))
    ), gone_users AS (
        DELETE FROM reco.users t WHERE t.space = in_space AND t.user_id = ANY (ARRAY(
            SELECT c.id FROM counted c WHERE c.kind = 2 AND c.remains AND c.document IS NULL))
    ), gone_models AS (
        DELETE FROM reco.models t WHERE t.space = in_space AND t.model_id = ANY (ARRAY(
            SELECT c.id FROM counted c WHERE c.kind = 3 AND c.remains AND c.document IS NULL))
    ), gone_experiments AS (
        DELETE FROM reco.experiments t WHERE t.space = in_space AND t.experiment_id = ANY (ARRAY(
            SELECT c.id FROM counted c WHERE c.kind = 4 AND c.remains AND c.document IS NULL))
    ), gone_keys AS (
        DELETE FROM reco.keys t WHERE t.space = in_space AND t.key_id = ANY (ARRAY(
            SELECT c.id FROM counted c WHERE c.kind = 5 AND c.remains AND c.document IS NULL))
    )
    SELECT count(*), coalesce(sum((c.document IS NOT NULL)::int - (c.size IS NOT NULL)::int) FILTER (WHERE c.remains), 0),
        coalesce(sum(coalesce(octet_length(c.document), 0) - coalesce(c.size, 0)) FILTER (WHERE c.remains), 0)
    INTO made, more_documents, more_bytes FROM counted c;
    IF made = 0 THEN
        RETURN old.newest;
    END IF;
    IF more_bytes > 0 AND most_bytes > 0 AND old.bytes + more_bytes > most_bytes THEN
        RAISE EXCEPTION USING ERRCODE = 'RC001', MESSAGE = format('the documents of a namespace may take %s bytes, these would make it %s',
            most_bytes, old.bytes + more_bytes);
    END IF;
    UPDATE reco.spaces s SET newest = old.newest + made, documents = s.documents + more_documents, bytes = s.bytes + more_bytes
    WHERE s.space = in_space;
    -- In steps of 1,000, so that a small change does not pay for it; what readers are told is counted from the newest number.
    IF (old.newest + made) / 1000 > old.newest / 1000 THEN
        DELETE FROM reco.changes c WHERE c.space = in_space AND c.sequence <= old.newest + made - 100000;
    END IF;
    RETURN old.newest + made;
END $$;

-- One record by hand, in psql or a script: NULL deletes. Returns the newest number.
CREATE FUNCTION reco.put(in_space text, in_kind smallint, in_id text, in_document text) RETURNS bigint LANGUAGE sql AS $$
    SELECT reco.change(in_space, ARRAY[in_kind], ARRAY[CASE WHEN in_document IS NULL THEN 6 ELSE 5 END]::smallint[], ARRAY[in_id],
        ARRAY[in_document], 0)
$$;

INSERT INTO reco.migrations (version, name) VALUES (1, 'records');

-- The archive. Every record of every stream for SQL, ticks included: its bytes as they were, and what can be read from them in columns.
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

-- Records that take an event back; bit 2 of the flags at byte 2 of a record says so.
CREATE INDEX events_undo ON reco.events (stream, user_id, event_id) WHERE record_type = 'event' AND get_byte(raw, 2) & 4 <> 0;

-- Events with the name of their stream, without ticks and without what was taken back: what most reports want.
CREATE VIEW reco.history AS
    SELECT s.space, s.stream_id, e.* FROM reco.events e JOIN reco.streams s USING (stream)
    WHERE e.record_type = 'event' AND get_byte(e.raw, 2) & 4 = 0
        AND NOT EXISTS (SELECT FROM reco.events u WHERE u.stream = e.stream AND u.user_id = e.user_id AND u.event_id = e.event_id
            AND u.record_type = 'event' AND get_byte(u.raw, 2) & 4 <> 0);

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
INSERT INTO reco.migrations (version, name) VALUES (3, 'variants');
INSERT INTO reco.migrations (version, name) VALUES (4, 'undo');
