#!/usr/bin/env bash
# What a user, an item and an event take in the embedded stores and in PostgreSQL: bash tests/bench/sizing.sh BUILD [EVENTS [ITEMS [USERS]]]
# (default 200000 20000 20000). Generated events are imported into a fresh folder; the bytes are the stores' own accounts (reco stats) and the files.
# PostgreSQL gets as many items and archived events by SQL in a private server; without one that part is skipped. bench_redis tells the same for
# Redis, bench_kafka for Kafka. Sizes grow in proportion to each of the three, but for co-view rows: with events until a row is cut.
set -euo pipefail
build=${1:?usage: sizing.sh BUILD [EVENTS [ITEMS [USERS]]]} events=${2:-200000} items=${3:-20000} users=${4:-20000}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
for name in $(compgen -e | grep '^RECO_' || true); do unset "$name"; done
work=$(mktemp -d /var/tmp/reco-sizing-XXXXXX)
chmod 755 "$work" # the server may run as another user
stop() {
    [ ! -e "$work/postgres/data" ] || bash "$here/infra/scripts/up-postgres.sh" stop "$work/postgres" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap stop EXIT

"$build/bin/reco" generate --events "$events" --items "$items" --users "$users" >"$work/events.ndjson"
"$build/bin/reco" --data "$work/data" --set limits.map_size=16GiB import --format ndjson --shift-time "$work/events.ndjson" >/dev/null
"$build/bin/reco" --data "$work/data" --set limits.map_size=16GiB stats --json >"$work/stats.json"
python3 - "$work" "$events" "$items" "$users" <<'PYTHON'
import json, os, sys
work, events, items, users = sys.argv[1], *map(int, sys.argv[2:5])
stats = json.load(open(work + "/stats.json"))
print(f"embedded: {events} events of {users} users and {items} items over 28 days")
for folder, _, names in sorted(os.walk(work + "/data")):
    for name in sorted(names):
        path = os.path.join(folder, name)
        used = os.stat(path).st_blocks * 512
        if used >= 1 << 16:
            print(f"  file {os.path.relpath(path, work + '/data'):<28} {used:>13} bytes on disk, {used / events:8.1f} an event")
def walk(node, path):
    for key, value in node.items() if isinstance(node, dict) else []:
        if isinstance(value, dict):
            walk(value, path + [key])
        elif isinstance(value, int) and value >= 1 << 14 and ("bytes" in key or "bytes" in path):
            print(f"  {'.'.join(path + [key]):<33} {value:>13} bytes,        {value / events:8.1f} an event, {value / users:8.1f} a user, "
                  f"{value / items:8.1f} an item")
walk(stats, [])
PYTHON

if ! address=$(bash "$here/infra/scripts/up-postgres.sh" start "$work/postgres" "$((20000 + $$ % 20000))" | tail -n 1) || [ -z "$address" ]; then
    echo "PostgreSQL: skipped, it does not start here"
    exit 0
fi
bash "$here/infra/scripts/migrate-postgres.sh" "$address" >/dev/null
psql -X -q -v ON_ERROR_STOP=1 -v events="$events" -v items="$items" -v users="$users" -d "$address" -At -F ' ' <<'SQL'
INSERT INTO reco.spaces (space) VALUES ('default') ON CONFLICT DO NOTHING;
INSERT INTO reco.items (space, item_id, sequence, title, categories, attributes, document)
SELECT 'default', 'i' || n, n, 'A title of forty characters, number ' || n, ARRAY['category-' || n % 50], '{"year": 2026}',
       '{"item_id":"i' || n || '","title":"A title of forty characters, number ' || n || '","categories":["category-' || n % 50 || '"],"year":2026}'
FROM generate_series(1, :items) n;
INSERT INTO reco.events (space, stream_id, partition, position, received_at, happened_at, event_type, user_id, item_id, session_id, event_id)
SELECT 'default', '0123456789abcdef0123456789abcdef', n % 12, n / 12, now() - (:events - n) * interval '1 second',
       now() - (:events - n) * interval '1 second', 'view', 'u' || n % :users, 'i' || (n * 31) % :items, 's' || n / 8, 'e' || n FROM generate_series(1, :events) n;
SELECT 'PostgreSQL: ' || :items || ' items of 130 bytes, ' || :events || ' archived events';
SELECT '  items  ' || pg_total_relation_size('reco.items') / :items || ' bytes an item, indexes included';
SELECT '  events ' || pg_total_relation_size('reco.events_other') / :events || ' bytes an event, of that ' ||
       pg_indexes_size('reco.events_other') / :events || ' in indexes';
SQL
