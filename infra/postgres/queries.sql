-- Useful reports: psql -f queries.sql, or one of them copied. Namespace: psql -v space=shop ..., or default.
\if :{?space}
\else
    \set space default
\endif

\echo Namespaces: records, bytes, newest change
SELECT s.space, s.documents, pg_size_pretty(s.bytes) AS bytes, s.newest, (SELECT max(c.changed_at) FROM reco.changes c
    WHERE c.space = s.space AND c.sequence = s.newest) AS changed_at
FROM reco.spaces s ORDER BY s.space;

\echo Items by category: how many, and how many may be recommended now
SELECT category, count(*) AS items,
    count(*) FILTER (WHERE NOT hidden AND coalesce(available_from <= now(), true) AND coalesce(available_until > now(), true)) AS available
FROM reco.items LEFT JOIN LATERAL unnest(categories) AS category ON true
WHERE space = :'space' GROUP BY category ORDER BY items DESC, category LIMIT 50;

\echo Items that become available or go within a week
SELECT item_id, title, available_from, available_until FROM reco.items
WHERE space = :'space' AND NOT hidden
    AND (available_from BETWEEN now() AND now() + interval '7 days' OR available_until BETWEEN now() AND now() + interval '7 days')
ORDER BY least(available_from, available_until), item_id LIMIT 100;

\echo Variants: the items that have most of them
SELECT parent, count(*) AS variants, count(*) FILTER (WHERE hidden) AS hidden FROM reco.items
WHERE space = :'space' AND parent IS NOT NULL GROUP BY parent ORDER BY variants DESC, parent LIMIT 50;

\echo Attributes of items: which there are, and in how many items
SELECT key AS attribute, jsonb_typeof(value) AS type, count(*) AS items FROM reco.items
CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(attributes) = 'object' THEN attributes ELSE '{}' END)
WHERE space = :'space' GROUP BY key, jsonb_typeof(value) ORDER BY items DESC, attribute LIMIT 50;

\echo Documents that are no JSON object: nothing could be derived from them
SELECT item_id, left(document, 60) AS begins FROM reco.items
WHERE space = :'space' AND jsonb_typeof(reco.as_json(document)) IS DISTINCT FROM 'object' ORDER BY item_id LIMIT 20;

\echo Users by segment
SELECT coalesce(segment, '(none)') AS segment, count(*) AS users FROM reco.users WHERE space = :'space' GROUP BY 1 ORDER BY users DESC, 1 LIMIT 50;

\echo Changes an hour, the last day
SELECT date_trunc('hour', changed_at) AS hour, count(*) AS changes,
    count(*) FILTER (WHERE kind = 1) AS items, count(*) FILTER (WHERE kind = 2) AS users
FROM reco.changes WHERE space = :'space' AND changed_at > now() - interval '1 day' GROUP BY 1 ORDER BY 1;

\echo Events a day by type, the last two weeks
SELECT date_trunc('day', received_at) AS day, event_type, count(*) AS events, count(DISTINCT user_id) AS users
FROM reco.history WHERE space = :'space' AND received_at > now() - interval '14 days'
GROUP BY 1, 2 ORDER BY 1, events DESC;

\echo Most seen items of the week, with the share that led to a purchase
SELECT h.item_id, i.title, count(*) FILTER (WHERE h.event_type IN ('view', 'click')) AS seen,
    count(*) FILTER (WHERE h.event_type = 'purchase') AS bought,
    round(count(*) FILTER (WHERE h.event_type = 'purchase')::numeric /
        nullif(count(*) FILTER (WHERE h.event_type IN ('view', 'click')), 0), 4) AS rate
FROM reco.history h LEFT JOIN reco.items i ON i.space = h.space AND i.item_id = h.item_id
WHERE h.space = :'space' AND h.received_at > now() - interval '7 days'
GROUP BY h.item_id, i.title ORDER BY seen DESC, h.item_id LIMIT 50;

\echo Events of the week by category of the item
SELECT category, count(*) AS events, count(DISTINCT h.user_id) AS users
FROM reco.history h JOIN reco.items i ON i.space = h.space AND i.item_id = h.item_id CROSS JOIN LATERAL unnest(i.categories) AS category
WHERE h.space = :'space' AND h.received_at > now() - interval '7 days' GROUP BY category ORDER BY events DESC, category LIMIT 50;

\echo Items that people ask for and records do not know, the week
SELECT h.item_id, count(*) AS events FROM reco.history h
WHERE h.space = :'space' AND h.received_at > now() - interval '7 days'
    AND NOT EXISTS (SELECT FROM reco.items i WHERE i.space = h.space AND i.item_id = h.item_id)
GROUP BY h.item_id ORDER BY events DESC, h.item_id LIMIT 20;

\echo Items nobody has seen for thirty days
SELECT i.item_id, i.title FROM reco.items i
WHERE i.space = :'space' AND NOT i.hidden AND NOT EXISTS (SELECT FROM reco.history h WHERE h.space = i.space AND h.item_id = i.item_id
    AND h.received_at > now() - interval '30 days')
ORDER BY i.item_id LIMIT 50;

\echo Recommendations of the week: how many were answered by an event
SELECT date_trunc('day', received_at) AS day, count(DISTINCT recommendation_id) FILTER (WHERE event_type = 'impression') AS shown,
    count(DISTINCT recommendation_id) FILTER (WHERE event_type IN ('view', 'click')) AS clicked,
    count(DISTINCT recommendation_id) FILTER (WHERE event_type = 'purchase') AS bought
FROM reco.history WHERE space = :'space' AND received_at > now() - interval '7 days' AND recommendation_id IS NOT NULL GROUP BY 1 ORDER BY 1;

\echo Clicks by the place an item was shown at, the week
SELECT shown_at, count(*) AS clicks FROM reco.history
WHERE space = :'space' AND received_at > now() - interval '7 days' AND event_type = 'click' AND shown_at IS NOT NULL
GROUP BY shown_at ORDER BY shown_at LIMIT 50;

\echo Users: how many came each week, and how many of them came again in the next
WITH weeks AS (
    SELECT DISTINCT date_trunc('week', received_at) AS week, user_id FROM reco.history
    WHERE space = :'space' AND received_at > now() - interval '12 weeks'
)
SELECT w.week, count(*) AS users, count(n.user_id) AS came_again
FROM weeks w LEFT JOIN weeks n ON n.user_id = w.user_id AND n.week = w.week + interval '7 days' GROUP BY w.week ORDER BY w.week;

\echo The archive: how far each partition has come, and whether it is complete
SELECT s.space, s.stream_id, p.partition, p.first_position, p.next_position, p.records, p.missed,
    p.first_position + p.records + p.missed = p.next_position AS adds_up, now() - p.moved_at AS ago
FROM reco.archive_positions p JOIN reco.streams s USING (stream) ORDER BY s.space, s.stream_id, p.partition;

\echo The archive: rows counted against its positions (reads all of it)
SELECT p.stream, p.partition, p.records, count(e.position) AS rows, count(DISTINCT e.position) AS positions,
    p.records = count(e.position) AND p.records = count(DISTINCT e.position) AS exact
FROM reco.archive_positions p LEFT JOIN reco.events e USING (stream, partition)
GROUP BY p.stream, p.partition, p.records ORDER BY p.stream, p.partition;

\echo The archive: rows whose month has no partition of its own (reco.events_months makes it and moves them)
SELECT date_trunc('month', received_at) AS month, count(*) AS rows FROM reco.events_other GROUP BY 1 ORDER BY 1;

\echo Tables by size
SELECT c.relname AS "table", pg_size_pretty(pg_total_relation_size(c.oid)) AS size, c.reltuples::bigint AS rows_about
FROM pg_class c WHERE c.relnamespace = 'reco'::regnamespace AND c.relkind = 'r' ORDER BY pg_total_relation_size(c.oid) DESC;
