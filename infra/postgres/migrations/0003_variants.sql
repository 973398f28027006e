-- 0003: variants, and changes that depend on what was read. reco.items tells whose variant an item is; reco.change() can be told at which sequence
-- records must be. Programs of the releases before go on working: they call it without.

ALTER TABLE reco.items ADD COLUMN parent text COLLATE "C";
UPDATE reco.items SET parent = reco.as_json(document) ->> 'parent' WHERE reco.as_json(document) ->> 'parent' IS NOT NULL;
CREATE INDEX items_parent ON reco.items (space, parent) WHERE parent IS NOT NULL;

DROP FUNCTION reco.change(text, smallint[], smallint[], text[], text[], bigint);

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

INSERT INTO reco.migrations (version, name) VALUES (3, 'variants');
