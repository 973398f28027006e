/* bench_redis.c - features on a Redis of its own: what learning costs the server and the client, what is stored, what an answer costs.
 *
 *   bench_redis [--quick] [--events N] [--items N] [--users N] [--batch N] [--aof] [--tcp] [--rounds N]
 *
 * Learning: generated events (6 s apart, so that 200,000 are two co-view generations) wait in a stream on disk; one processor learns them in
 * batches through the whole engine, publishing heads and compacting rows as it always does. The first half warms, the second is measured. The
 * server's time is its own count (INFO, user and system); the client's is that of this process. The longest block is the slowest EXEC and function as
 * the server's latency monitor and histograms have it: on a shared machine it includes moments in which the server did not have the processor.
 *
 * Server and client share the machine, so they speak through the server's local socket; --tcp: through the loopback interface.
 *
 * Answers: users with 50 recent items each, asked of an engine that keeps no heads in memory (stale_ms=0: cold) and of one that does, as services do
 * (cached). Floor of a cold answer: the same heads read by hiredis in one pipelined request. Floor of a cached one: an engine in memory that learned
 * the same events, asked the same question; what one trip costs a bare client is told beside it. All in turn; medians. */
#include <hiredis/hiredis.h>

#include "bench/measure.h"
#include "support/redis_server.h"
#include "support/support.h"

enum { ASKERS = 64, RECENTS = 50, COMMANDS = 8, APPEND = 300 /* half an hour of events: none is late */ };

typedef struct setup {
    uint32_t items, users;
    uint64_t events;
    uint32_t batch;
    size_t rounds;
    bool aof, quick, tcp;
} setup;

typedef struct bench {
    setup how;
    test_redis server;
    redisContext *redis;
    char url[320], numbers_key[64];
    reco_engine *engine, *cached, *embedded;
    uint32_t recents[ASKERS][RECENTS]; /* item numbers within redis */
} bench;

/* --- the server's own figures ------------------------------------------------------------------------------------------------------------- */

static redisReply *ask(bench *b, const char *command) {
    redisReply *reply = redisCommand(b->redis, command);
    bench_need(reply && reply->type != REDIS_REPLY_ERROR, reply ? reply->str : b->redis->errstr);
    return reply;
}

static void tell(bench *b, const char *command) { freeReplyObject(ask(b, command)); }

static double field(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? strtod(at + strlen(name), NULL) : 0;
}

typedef struct server_time {
    double user, system; /* us */
} server_time;

static server_time server_now(bench *b) {
    redisReply *reply = ask(b, "INFO cpu");
    server_time used = {field(reply->str, "used_cpu_user:") * 1e6, field(reply->str, "used_cpu_sys:") * 1e6};
    freeReplyObject(reply);
    return used;
}

typedef struct command_cost {
    char name[40];
    double calls, us;
} command_cost;

static int by_cost(const void *a, const void *b) {
    const command_cost *x = a, *y = b;
    return x->us < y->us ? 1 : x->us > y->us ? -1 : strcmp(x->name, y->name);
}

/* Where the server's time went, by command. EXEC contains what it runs. */
static void print_commands(bench *b, double events) {
    command_cost costs[128];
    size_t count = 0;
    redisReply *reply = ask(b, "INFO commandstats");
    for (const char *line = reply->str; line && count < 128; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        command_cost *cost = &costs[count];
        count += sscanf(line, "cmdstat_%39[^:]:calls=%lf,usec=%lf", cost->name, &cost->calls, &cost->us) == 3;
    }
    freeReplyObject(reply);
    qsort(costs, count, sizeof *costs, by_cost);
    printf("  of the server's time, us an event (calls an event):");
    for (size_t i = 0; i < count && i < COMMANDS; i++) {
        printf(" %s %.2f (%.2f)", costs[i].name, costs[i].us / events, costs[i].calls / events);
    }
    printf("\n");
}

/* What went through its sockets: waking up for them costs more than the bytes. */
static void print_sockets(bench *b, double events) {
    redisReply *reply = ask(b, "INFO stats");
    printf("  sockets: %.3f reads, %.3f writes, %.0f bytes in, %.0f bytes out an event\n", field(reply->str, "total_reads_processed:") / events,
           field(reply->str, "total_writes_processed:") / events, field(reply->str, "total_net_input_bytes:") / events,
           field(reply->str, "total_net_output_bytes:") / events);
    freeReplyObject(reply);
}

/* The upper bound of the slowest call of a command, in microseconds, and how many were slower than 5 ms. */
static double slowest(bench *b, const char *command, long long *late) {
    double most = 0;
    long long total = 0, fast = 0;
    redisReply *reply = redisCommand(b->redis, "LATENCY HISTOGRAM %s", command);
    *late = 0;
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        const redisReply *inner = reply->element[1];
        total = inner->element[1]->integer;
        const redisReply *buckets = inner->element[3];
        for (size_t i = 0; i + 1 < buckets->elements; i += 2) {
            most = (double)buckets->element[i]->integer;
            fast = buckets->element[i]->integer <= 5000 ? buckets->element[i + 1]->integer : fast;
        }
        *late = total - fast;
    }
    freeReplyObject(reply);
    return most;
}

static void print_blocks(bench *b) {
    static const char *const commands[] = {"exec", "fcall", "mget", "lrange", "srandmember"};
    printf("  longest block, upper bounds of the server's histogram:");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        long long late;
        double most = slowest(b, commands[i], &late);
        printf(" %s %.2f ms (%lld above 4 ms)", commands[i], most / 1000, late);
    }
    redisReply *reply = ask(b, "LATENCY LATEST");
    for (size_t i = 0; i < reply->elements; i++) {
        printf("; %s at most %lld ms", reply->element[i]->element[0]->str, reply->element[i]->element[3]->integer);
    }
    freeReplyObject(reply);
    printf(" (goal 5)\n");
}

/* --- what is stored ----------------------------------------------------------------------------------------------------------------------- */

typedef struct kind {
    const char *what;
    double keys, bytes;
} kind;

/* Bytes by kind of key, as the server accounts for them. */
static void count_keys(bench *b, kind kinds[5]) {
    char cursor[32] = "0";
    do {
        redisReply *scan = redisCommand(b->redis, "SCAN %s COUNT 1000", cursor);
        bench_need(scan && scan->elements == 2, "SCAN");
        const redisReply *keys = scan->element[1];
        for (size_t i = 0; i < keys->elements; i++) {
            redisAppendCommand(b->redis, "MEMORY USAGE %b SAMPLES 50", keys->element[i]->str, keys->element[i]->len);
        }
        for (size_t i = 0; i < keys->elements; i++) {
            redisReply *size;
            bench_need(redisGetReply(b->redis, (void **)&size) == REDIS_OK, "MEMORY USAGE");
            const char *name = strstr(keys->element[i]->str, "}:");
            char letter = name ? name[2] : 0;
            kind *of = letter == 'r'                     ? &kinds[0]
                       : letter == 'q'                   ? &kinds[1]
                       : letter == 'h'                   ? &kinds[2]
                       : letter == 'c' && name[3] <= '9' ? &kinds[3]
                                                         : &kinds[4];
            of->keys++;
            of->bytes += (double)size->integer;
            freeReplyObject(size);
        }
        snprintf(cursor, sizeof cursor, "%s", scan->element[0]->str);
        freeReplyObject(scan);
    } while (strcmp(cursor, "0") != 0);
}

static void measure_memory(bench *b, const char *folder) {
    char path[300];
    kind kinds[5] = {{"co-view rows", 0, 0}, {"popularity rows", 0, 0}, {"heads", 0, 0}, {"cells", 0, 0}, {"names and the rest", 0, 0}};
    reco_snapshot_result shot = {.struct_size = sizeof shot};
    reco_error err = RECO_ERROR_INIT;
    snprintf(path, sizeof path, "%s/snapshot", folder);
    count_keys(b, kinds);
    bench_ok(reco_snapshot(&shot, b->engine, path, NULL, &err), &err);
    printf("stored: %u items, %llu users, %llu rows with %llu members\n", shot.items, (unsigned long long)shot.cells, (unsigned long long)shot.rows,
           (unsigned long long)shot.entries);
    for (int i = 0; i < 5; i++) {
        printf("  %-20s %9.0f keys %12.0f bytes\n", kinds[i].what, kinds[i].keys, kinds[i].bytes);
    }
    printf("  %.1f bytes a board member (goal 20); heads %.0f bytes an item, cells %.0f bytes a user\n",
           (kinds[0].bytes + kinds[1].bytes) / (double)shot.entries, kinds[2].bytes / (double)shot.items, kinds[3].bytes / (double)shot.cells);
}

/* --- learning ----------------------------------------------------------------------------------------------------------------------------- */

static void measure_learning(bench *b) {
    bench_feed *feed = bench_feed_open(b->how.items, b->how.users, b->how.events, 1);
    bench_ingest(b->engine, feed, b->how.events / 2, APPEND);
    bench_learn(b->engine, b->how.batch);
    bench_ingest(b->engine, feed, b->how.events, APPEND);
    bench_feed_close(feed);
    tell(b, "CONFIG RESETSTAT");
    tell(b, "LATENCY RESET");
    server_time before = server_now(b);
    double client = bench_cpu_us();
    int64_t began = bench_now_ns();
    reco_progress progress = bench_learn(b->engine, b->how.batch);
    double seconds = (double)(bench_now_ns() - began) / 1e9, events = (double)progress.events;
    client = bench_cpu_us() - client;
    server_time after = server_now(b);
    double user = (after.user - before.user) / events, system = (after.system - before.system) / events;
    printf("learning: %.0f events in batches of %u (%llu batches, %llu closing steps), %u items, %u users, append-only file %s: %.0f events/s\n",
           events, b->how.batch, (unsigned long long)progress.batches, (unsigned long long)progress.closing_steps, b->how.items, b->how.users,
           b->how.aof ? "on" : "off", events / seconds);
    printf("  server %.2f us CPU an event (goal 12): user %.2f, system %.2f   client %.2f us CPU an event (goal 40)\n", user + system, user, system,
           client / events);
    print_commands(b, events);
    print_sockets(b, events);
    print_blocks(b);
}

/* --- answers ------------------------------------------------------------------------------------------------------------------------------ */

/* Users who have just looked at 50 items: the same in both engines. Which items: those that have most rows come first in the generator's names, so
 * any distinct ones that were seen will do; they are taken from the store's own list. */
static void make_askers(bench *b) {
    redisReply *names = redisCommand(b->redis, "LRANGE %s 0 -1", b->numbers_key);
    bench_need(names && names->type == REDIS_REPLY_ARRAY && names->elements > RECENTS * 4, "there are too few items");
    uint64_t state = 88172645463325252u;
    for (uint32_t u = 0; u < ASKERS; u++) {
        reco_event events[RECENTS];
        char user[24];
        reco_error err = RECO_ERROR_INIT;
        snprintf(user, sizeof user, "asker-%u", u);
        uint32_t part = (uint32_t)(names->elements / (ASKERS * 2)), base = u * part;
        for (uint32_t i = 0; i < RECENTS; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            uint32_t number =
                part >= RECENTS ? base + (uint32_t)(state % (part / RECENTS + 1)) + i * (part / RECENTS) : (base + i) % (uint32_t)names->elements;
            b->recents[u][i] = number;
            events[i] = (reco_event){
                .user_id = {user, strlen(user)}, .item_id = {names->element[number]->str, names->element[number]->len}, .event_type = {"view", 4}};
        }
        bench_ok(reco_ingest(NULL, b->engine, events, RECENTS, sizeof events[0], NULL, NULL, &err), &err);
        bench_ok(reco_ingest(NULL, b->embedded, events, RECENTS, sizeof events[0], NULL, NULL, &err), &err);
    }
    freeReplyObject(names);
}

/* The heads of these items, in one request. */
static size_t read_raw(bench *b, const uint32_t *items) {
    size_t bytes = 0;
    for (int i = 0; i < RECENTS; i++) {
        uint8_t tail[5] = {'h', (uint8_t)(items[i] >> 24), (uint8_t)(items[i] >> 16), (uint8_t)(items[i] >> 8), (uint8_t)items[i]};
        redisAppendCommand(b->redis, "GET reco:{default}:%b", tail, sizeof tail);
    }
    for (int i = 0; i < RECENTS; i++) {
        redisReply *reply;
        bench_need(redisGetReply(b->redis, (void **)&reply) == REDIS_OK, "GET");
        bytes += reply->type == REDIS_REPLY_STRING ? reply->len : 0;
        freeReplyObject(reply);
    }
    return bytes;
}

static double time_answer(reco_engine *engine, reco_answer **answer, uint32_t asker) {
    char user[24];
    reco_error err = RECO_ERROR_INIT;
    reco_query query = {.struct_size = sizeof query, .user_id = {user, (size_t)snprintf(user, sizeof user, "asker-%u", asker)}, .limit = 20};
    int64_t began = bench_now_ns();
    bench_ok(reco_recommend(answer, engine, &query, NULL, &err), &err);
    double took = (double)(bench_now_ns() - began) / 1e3;
    bench_need((*answer)->count == 20 && (*answer)->flags == 0, "an answer is not what it should be");
    return took;
}

/* A processor puts the heads of what the askers touched within its second; a raw read of them before that would be of less than an answer is made
 * from. */
static void publish_all(bench *b) {
    reco_processor *processor;
    reco_processor_options options = {.struct_size = sizeof options};
    reco_error err = RECO_ERROR_INIT;
    bench_ok(reco_processor_open(&processor, b->engine, &options, NULL, &err), &err);
    for (long long left = 1; left;) {
        reco_progress progress = {.struct_size = sizeof progress};
        bench_ok(reco_processor_step(&progress, processor, NULL, &err), &err);
        redisReply *reply = ask(b, "SCARD reco:{default}:d");
        left = reply->integer;
        freeReplyObject(reply);
    }
    reco_processor_close(processor);
}

/* What no answer of a store on a server can do without. */
static double time_trip(bench *b) {
    int64_t began = bench_now_ns();
    freeReplyObject(ask(b, "GET reco:{default}:p0"));
    return (double)(bench_now_ns() - began) / 1e3;
}

static void measure_answers(bench *b) {
    size_t rounds = b->how.rounds, kept = 0;
    double *raw = calloc(rounds * 5, sizeof *raw), *ours = raw + rounds, *inside = ours + rounds, *warm = inside + rounds, *trips = warm + rounds;
    double bytes = 0;
    reco_answer *answer = NULL, *other = NULL, *third = NULL;
    reco_error err = RECO_ERROR_INIT;
    bench_need(raw, "out of memory");
    make_askers(b);
    bench_learn(b->engine, b->how.batch);
    publish_all(b);
    bench_ok(reco_process(NULL, b->embedded, NULL, &err), &err);
    for (size_t i = 0; i < rounds + ASKERS; i++) {
        uint32_t asker = (uint32_t)(i * 7 % ASKERS);
        int64_t began = bench_now_ns();
        size_t got = read_raw(b, b->recents[asker]);
        double floor = (double)(bench_now_ns() - began) / 1e3;
        double asked = time_answer(b->engine, &answer, asker), embedded = time_answer(b->embedded, &other, asker),
               cached = time_answer(b->cached, &third, asker), trip = time_trip(b);
        if (i >= ASKERS) {
            trips[kept] = trip;
            raw[kept] = floor;
            ours[kept] = asked;
            warm[kept] = cached;
            inside[kept++] = embedded;
            bytes += (double)got;
        }
    }
    double floor = bench_median(raw, kept), asked = bench_median(ours, kept), embedded = bench_median(inside, kept),
           cached = bench_median(warm, kept);
    printf("answers: %d recents, limit 20, reasons, %u candidates, %zu questions\n", RECENTS, answer->candidates, kept);
    printf("  raw pipelined read of the same heads p50 %.0f us (%.0f bytes a head), on redis, cold p50 %.0f us p99 %.0f us: ratio %.2f (goal 1.5)\n",
           floor, bytes / (double)kept / RECENTS, asked, bench_percentile(ours, kept, 0.99), asked / floor);
    printf("  embedded p50 %.0f us, on redis, cached p50 %.0f us p99 %.0f us: ratio %.2f (goal 1.5); one trip of a bare client p50 %.0f us\n",
           embedded, cached, bench_percentile(warm, kept, 0.99), cached / embedded, bench_median(trips, kept));
    reco_answer_free(third);
    reco_answer_free(answer);
    reco_answer_free(other);
    free(raw);
}

static void learn_embedded(bench *b) {
    bench_feed *feed = bench_feed_open(b->how.items, b->how.users, b->how.events, 1);
    b->embedded = bench_open("memory:", 0, NULL);
    bench_ingest(b->embedded, feed, b->how.events, APPEND);
    bench_feed_close(feed);
    bench_learn(b->embedded, 10000);
}

int main(int argc, char **argv) {
    static bench b;
    bench_options options = bench_options_begin(argc, argv);
    b.how.quick = bench_flag(&options, "--quick");
    b.how.events = bench_number(&options, "--events", b.how.quick ? 6000 : 200000);
    b.how.items = (uint32_t)bench_number(&options, "--items", b.how.quick ? 1000 : 20000);
    b.how.users = (uint32_t)bench_number(&options, "--users", b.how.quick ? 1000 : 20000);
    b.how.batch = (uint32_t)bench_number(&options, "--batch", 100);
    b.how.rounds = (size_t)bench_number(&options, "--rounds", b.how.quick ? 100 : 2000);
    b.how.aof = bench_flag(&options, "--aof");
    b.how.tcp = bench_flag(&options, "--tcp");
    bench_options_end(&options, "bench_redis [--quick] [--events N] [--items N] [--users N] [--batch N] [--aof] [--tcp] [--rounds N]");

    const char *aof[] = {"--appendonly", "yes", "--appendfsync", "everysec", NULL};
    char folder[256], data[300], local[300];
    test_redis_start(&b.server, b.how.aof ? aof : NULL);
    test_dir_make(folder);
    snprintf(local, sizeof local, "%s/redis.sock", b.server.folder);
    b.redis = b.how.tcp ? redisConnect("127.0.0.1", b.server.port) : redisConnectUnix(local);
    bench_need(b.redis && !b.redis->err, "redis does not answer");
    tell(&b, "CONFIG SET latency-monitor-threshold 1");
    int size = b.how.tcp ? snprintf(b.url, sizeof b.url, "redis://127.0.0.1:%d?stale_ms=0", b.server.port)
                         : snprintf(b.url, sizeof b.url, "redis://%s?stale_ms=0", local);
    bench_need(size < (int)sizeof b.url, "the folder of the server has too long a name");
    snprintf(b.numbers_key, sizeof b.numbers_key, "reco:{default}:n");
    snprintf(data, sizeof data, "%s/data", folder);
    const char *settings[] = {"features", b.url, NULL};
    b.engine = bench_open(data, RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    measure_learning(&b);
    measure_memory(&b, folder);
    learn_embedded(&b);
    *strchr(b.url, '?') = 0;
    b.cached = bench_open(data, RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    measure_answers(&b);
    reco_close(b.cached);
    reco_close(b.engine);
    reco_close(b.embedded);
    redisFree(b.redis);
    test_redis_stop(&b.server);
    test_dir_remove(b.server.folder);
    test_dir_remove(folder);
    return 0;
}
