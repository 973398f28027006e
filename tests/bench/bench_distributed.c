/* bench_distributed.c - Kafka and Redis together: from an event to its visible effect, and three processors beside one.
 *
 *   bench_distributed [--quick] [--effect | --sharing] [--rate N] [--warm N] [--seconds N] [--senders N] [--linger MS] [--backlog N]
 *                     [--partitions N] [--batch N]
 *
 * All servers are this program's own, on this machine: one broker, one Redis with an append-only file, processors as processes of their own.
 *
 * Effect: single events at a fixed rate, each at its planned moment whatever became of those before (open loop): an answer that is late counts from
 * when it should have been asked for. Every PROBE-th event is of a user never seen; behind its ingest, durable on all replicas, goes a question with
 * the position it answered to a second engine, and the effect is there when that answer reflects it: not behind, no fallback, the item as a reason.
 * Floor, in the same run and under the same load: one append to the topic by a raw producer until it is acknowledged.
 *
 * Sharing: a backlog is learned by one processor, then by three, each time into an empty namespace; processor time of all from start to end, and how
 * many partitions and events each had. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/measure.h"
#include "support/kafka_server.h"
#include "support/redis_server.h"
#include "support/support.h"

enum { PROBE = 10, FLOOR = 5, POPULAR_ITEMS = 200, OTHER_ITEMS = 20000, SENDERS_MAX = 64, PROCESSORS_MAX = 3, HISTORY_STEPS = 20 };

extern char **environ;

typedef struct setup {
    bool quick;
    long rate, warm, seconds;
    int senders;
    uint32_t linger;
    uint64_t backlog;
    uint32_t partitions, batch;
} setup;

typedef struct bench {
    setup how;
    kafka_server kafka;
    test_redis redis;
    char live_stream[128], backlog_stream[128], features[128], partitions[16], batch[16];
} bench;

/* --- a processor as a process of its own ---------------------------------------------------------------------------------------------------- */

typedef struct processor {
    pid_t pid;
    int out; /* it prints its figures when it ends */
    double cpu_us;
    uint64_t events, batches;
    uint32_t partitions;
} processor;

static volatile sig_atomic_t told_to_end;
static void take_signal(int number) {
    (void)number;
    told_to_end = 1;
}

/* bench_distributed --processor STREAM FEATURES PARTITIONS BATCH */
static int run_processor(char **arguments) {
    const char *settings[] = {"stream", arguments[0], "features", arguments[1], "partitions", arguments[2], NULL};
    reco_error err = RECO_ERROR_INIT;
    reco_processor *learner;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = (uint32_t)strtoul(arguments[3], NULL, 10)};
    reco_progress progress = {.struct_size = sizeof progress};
    uint32_t most = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, take_signal);
    reco_engine *engine = bench_open("memory:", RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    bench_ok(reco_processor_open(&learner, engine, &options, NULL, &err), &err);
    while (!told_to_end) {
        reco_status status = reco_processor_step(&progress, learner, NULL, &err);
        if (status == RECO_OK && progress.idle) {
            status = reco_processor_wait(learner, 500, NULL, &err);
        }
        bench_need(status == RECO_OK || reco_status_retriable(status), err.text);
        most = progress.partitions;
    }
    printf("%.0f %llu %llu %u\n", bench_cpu_us(), (unsigned long long)progress.events, (unsigned long long)progress.batches, most);
    fflush(stdout);
    reco_processor_close(learner);
    reco_close(engine);
    return 0;
}

static void start_processor(processor *out, const char *stream, const char *features, const bench *b) {
    char self[1024], role[] = "--processor", stream_copy[128], features_copy[160], partitions[16], batch[16];
    int ends[2];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    bench_need(size > 0 && pipe(ends) == 0, "cannot start a processor");
    self[size] = 0;
    snprintf(stream_copy, sizeof stream_copy, "%s", stream);
    snprintf(features_copy, sizeof features_copy, "%s", features);
    snprintf(partitions, sizeof partitions, "%s", b->partitions);
    snprintf(batch, sizeof batch, "%s", b->batch);
    char *arguments[] = {self, role, stream_copy, features_copy, partitions, batch, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    bench_need(posix_spawn(&out->pid, self, &actions, NULL, arguments, environ) == 0, "cannot start a processor");
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    out->out = ends[0];
}

static void end_processor(processor *one) {
    unsigned long long events = 0, batches = 0;
    int status;
    kill(one->pid, SIGTERM);
    FILE *file = fdopen(one->out, "r");
    int got = file ? fscanf(file, "%lf %llu %llu %u", &one->cpu_us, &events, &batches, &one->partitions) : 0;
    if (file) {
        fclose(file);
    }
    waitpid(one->pid, &status, 0);
    bench_need(got == 4 && WIFEXITED(status) && WEXITSTATUS(status) == 0, "a processor did not end in order");
    one->events = events;
    one->batches = batches;
}

/* --- the load ------------------------------------------------------------------------------------------------------------------------------- */

typedef struct sender {
    pthread_t thread;
    int number;
    reco_engine *ingest, *api;
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    int64_t start, period;
    long count, probes, floors, missed, late;
    double *effect, *durable, *floor; /* ms, of the probes */
} sender;

static reco_event make_event(const char *user, const char *item) {
    return (reco_event){.user_id = {user, strlen(user)}, .item_id = {item, strlen(item)}, .event_type = {"view", 4}};
}

static void post(reco_receipt *receipt, reco_engine *engine, const char *user, const char *item) {
    reco_event event = make_event(user, item);
    reco_error err = RECO_ERROR_INIT;
    receipt->struct_size = sizeof *receipt;
    bench_ok(reco_ingest(receipt, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
}

static bool is_visible(const reco_answer *answer, const char *item) {
    bool found = false;
    for (size_t i = 0; i < answer->count && !found; i++) {
        for (uint32_t r = 0; r < answer->items[i].reason_count && !found; r++) {
            reco_str because = answer->items[i].reasons[r].because;
            found = because.size == strlen(item) && memcmp(because.data, item, because.size) == 0;
        }
    }
    return found && !(answer->flags & (RECO_ANSWER_BEHIND | RECO_ANSWER_FALLBACK));
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *context) {
    (void)client;
    (void)context;
    __atomic_store_n((int *)message->_private, message->err ? -1 : 1, __ATOMIC_RELEASE);
}

/* One record by the raw producer, acknowledged. All senders poll the same client. */
static void raw_append(sender *self) {
    int done = 0;
    char data[80] = "floor";
    bench_need(rd_kafka_produce(self->topic, self->number % 4, RD_KAFKA_MSG_F_COPY, data, sizeof data, NULL, 0, &done) == 0, "the floor's record");
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        rd_kafka_poll(self->producer, 1);
    }
}

static void probe(sender *self, reco_answer **answer, const char *user, const char *item, int64_t planned) {
    reco_receipt receipt;
    reco_error err = RECO_ERROR_INIT;
    post(&receipt, self->ingest, user, item);
    self->durable[self->probes] = (double)(bench_now_ns() - planned) / 1e6;
    reco_query query = {.struct_size = sizeof query,
                        .user_id = {user, strlen(user)},
                        .min_position = {receipt.position, strlen(receipt.position)},
                        .limit = 20,
                        .wait_ms = 2000};
    bench_ok(reco_recommend(answer, self->api, &query, NULL, &err), &err);
    self->effect[self->probes] = (double)(bench_now_ns() - planned) / 1e6;
    self->missed += !is_visible(*answer, item);
    if (self->probes++ % FLOOR == 0) { /* not with each: it is work for the broker, too */
        int64_t begun = bench_now_ns();
        raw_append(self);
        self->floor[self->floors++] = (double)(bench_now_ns() - begun) / 1e6;
    }
}

static void *send_events(void *argument) {
    sender *self = argument;
    reco_answer *answer = NULL;
    reco_receipt receipt;
    char user[48], item[32];
    for (long i = 0; i < self->count; i++) {
        int64_t planned = self->start + i * self->period;
        long draw = self->number * 7919L + i * 31;
        bench_wait_until(planned);
        self->late += bench_now_ns() - planned > 100000000;
        if (i % PROBE == PROBE / 2) {
            snprintf(item, sizeof item, "common-%ld", draw % POPULAR_ITEMS);
            snprintf(user, sizeof user, "probe-%d-%ld-%lld", self->number, i, (long long)(self->start / 1000000));
            probe(self, &answer, user, item, planned);
        } else {
            snprintf(item, sizeof item, "%s-%ld", i % 3 ? "other" : "common", i % 3 ? draw % OTHER_ITEMS : draw % POPULAR_ITEMS);
            snprintf(user, sizeof user, "user-%ld", draw % 2000);
            post(&receipt, self->ingest, user, item);
        }
    }
    reco_answer_free(answer);
    return NULL;
}

static void run_load(sender *senders, const bench *b, reco_engine *ingest, reco_engine *api, rd_kafka_t *producer, rd_kafka_topic_t *topic,
                     long seconds) {
    int64_t begin = bench_now_ns() + 200000000;
    for (int i = 0; i < b->how.senders; i++) {
        sender *one = &senders[i];
        free(one->effect);
        *one = (sender){.number = i, .ingest = ingest, .api = api, .producer = producer, .topic = topic};
        one->count = b->how.rate * seconds / b->how.senders;
        one->period = 1000000000LL * b->how.senders / b->how.rate;
        one->start = begin + one->period * i / b->how.senders;
        size_t probes = (size_t)(one->count / PROBE + 1);
        one->effect = calloc(probes * 3, sizeof *one->effect);
        bench_need(one->effect, "out of memory");
        one->durable = one->effect + probes;
        one->floor = one->durable + probes;
        bench_need(pthread_create(&one->thread, NULL, send_events, one) == 0, "cannot start a thread");
    }
    for (int i = 0; i < b->how.senders; i++) {
        pthread_join(senders[i].thread, NULL);
    }
}

static void report(const char *what, const sender *senders, int count, size_t column) {
    double values[100000];
    size_t filled = 0;
    for (int i = 0; i < count; i++) {
        const double *from = column == 0 ? senders[i].effect : column == 1 ? senders[i].durable : senders[i].floor;
        for (long p = 0; p < (column == 2 ? senders[i].floors : senders[i].probes) && filled < sizeof values / sizeof values[0]; p++) {
            values[filled++] = from[p];
        }
    }
    printf("  %-52s p50 %7.2f  p90 %7.2f  p99 %7.2f  max %8.2f ms\n", what, bench_median(values, filled), bench_percentile(values, filled, 0.9),
           bench_percentile(values, filled, 0.99), bench_percentile(values, filled, 1));
}

/* 2,000 users who looked at 10 of the common items each and at 10 others, over two days up to an hour ago. */
static uint64_t tell_history(reco_engine *engine, uint64_t users) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t begin = (int64_t)now.tv_sec * 1000 - INT64_C(86400000) * 2, step = INT64_C(86400000) * 47 / 24 / (int64_t)users;
    reco_error err = RECO_ERROR_INIT;
    for (uint64_t u = 0; u < users; u++) {
        reco_event events[HISTORY_STEPS];
        char user[32], items[HISTORY_STEPS][32];
        snprintf(user, sizeof user, "user-%llu", (unsigned long long)u);
        for (uint64_t i = 0; i < HISTORY_STEPS; i++) {
            snprintf(items[i], sizeof items[i], "%s-%llu", i % 2 ? "common" : "other",
                     (unsigned long long)(i % 2 ? (u * 13 + i * i * 7) % POPULAR_ITEMS : (u * 31 + i * 997) % OTHER_ITEMS));
            events[i] = make_event(user, items[i]);
        }
        reco_ingest_options options = {.struct_size = sizeof options, .received_at = begin + (int64_t)u * step};
        bench_ok(reco_ingest(NULL, engine, events, HISTORY_STEPS, sizeof events[0], &options, NULL, &err), &err);
    }
    return users * HISTORY_STEPS;
}

static bool is_learned(void *context) {
    int64_t lag = -1, lag_ms;
    return reco_ready(&lag, &lag_ms, context, NULL, NULL) == RECO_OK && lag == 0;
}

static rd_kafka_t *raw_producer(const bench *b) {
    char why[256], brokers[64], linger[16];
    snprintf(linger, sizeof linger, "%u", b->how.linger);
    const char *const settings[][2] = {
        {"linger.ms", linger}, {"socket.nagle.disable", "true"}, {"enable.idempotence", "true"}, {"acks", "all"}, {"client.id", "floor"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(brokers, sizeof brokers, "127.0.0.1:%u", b->kafka.port);
    bench_need(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why) == RD_KAFKA_CONF_OK, why);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        bench_need(rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) == RD_KAFKA_CONF_OK, why);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    bench_need(producer, why);
    return producer;
}

static void measure_effect(bench *b) {
    static sender senders[SENDERS_MAX];
    char floor_stream[128];
    const char *settings[] = {"stream", b->live_stream, "features", b->features, "partitions", b->partitions, NULL};
    processor learner = {0};
    reco_engine *ingest = bench_open("memory:", RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    tell_history(ingest, b->how.quick ? 300 : 2000);
    start_processor(&learner, b->live_stream, b->features, b);
    reco_engine *api = bench_open("memory:", RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    bench_need(test_wait(is_learned, api, 120000), "the history is not learned");
    snprintf(floor_stream, sizeof floor_stream, "kafka://127.0.0.1:%u/floor?replication=1", b->kafka.port); /* its topic is made just as the others */
    const char *floor_settings[] = {"stream", floor_stream, "partitions", "4", NULL};
    reco_close(bench_open("memory:", 0, floor_settings));
    rd_kafka_t *producer = raw_producer(b);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, "floor.default", NULL);
    run_load(senders, b, ingest, api, producer, topic, b->how.warm);
    double own = bench_cpu_us(), learning = bench_cpu_of_us(learner.pid), redis = bench_cpu_of_us(b->redis.pid),
           broker = bench_cpu_of_us(b->kafka.pid);
    run_load(senders, b, ingest, api, producer, topic, b->how.seconds);
    own = bench_cpu_us() - own;
    learning = bench_cpu_of_us(learner.pid) - learning;
    redis = bench_cpu_of_us(b->redis.pid) - redis;
    broker = bench_cpu_of_us(b->kafka.pid) - broker;
    long events = 0, probes = 0, missed = 0, late = 0;
    for (int i = 0; i < b->how.senders; i++) {
        events += senders[i].count;
        probes += senders[i].probes;
        missed += senders[i].missed;
        late += senders[i].late;
    }
    printf("Kafka and Redis, %ld single events/s for %ld s from %d senders, %s partitions, linger %u ms: %ld events (%ld sent over 100 ms late), %ld "
           "probes by new "
           "users, %ld without effect\n",
           b->how.rate, b->how.seconds, b->how.senders, b->partitions, b->how.linger, events, late, probes, missed);
    report("event to visible effect (goal p99 100)", senders, b->how.senders, 0);
    report("of that until the event is durable", senders, b->how.senders, 1);
    report("floor: a raw producer's append, acknowledged", senders, b->how.senders, 2);
    printf("  us CPU an event: ingest and a tenth of questions %.0f, processor %.0f, redis %.0f, broker %.0f\n", own / (double)events,
           learning / (double)events, redis / (double)events, broker / (double)events);
    end_processor(&learner);
    rd_kafka_topic_destroy(topic);
    rd_kafka_flush(producer, 5000);
    rd_kafka_destroy(producer);
    reco_close(api);
    reco_close(ingest);
    for (int i = 0; i < b->how.senders; i++) {
        free(senders[i].effect);
    }
    bench_need(missed == 0, "some events had no visible effect");
}

/* --- sharing -------------------------------------------------------------------------------------------------------------------------------- */

static double learn_backlog(bench *b, uint32_t count, uint64_t events) {
    processor list[PROCESSORS_MAX] = {0};
    char features[160];
    double cpu = 0, redis = bench_cpu_of_us(b->redis.pid), learned = 0;
    snprintf(features, sizeof features, "%s?prefix=backlog%u:", b->features, count);
    const char *settings[] = {"stream", b->backlog_stream, "features", features, "partitions", b->partitions, NULL};
    reco_engine *watcher = bench_open("memory:", 0, settings);
    int64_t began = bench_now_ns();
    for (uint32_t i = 0; i < count; i++) {
        start_processor(&list[i], b->backlog_stream, features, b);
    }
    bench_need(test_wait(is_learned, watcher, 600000), "the backlog is not learned");
    double seconds = (double)(bench_now_ns() - began) / 1e9;
    redis = bench_cpu_of_us(b->redis.pid) - redis;
    for (uint32_t i = 0; i < count; i++) {
        end_processor(&list[i]);
        cpu += list[i].cpu_us;
        learned += (double)list[i].events;
    }
    printf("%u processor%s, %.0f of %llu events in %.1f s: %.1f us CPU an event, redis %.1f;", count, count > 1 ? "s" : "", learned,
           (unsigned long long)events, seconds, cpu / (double)events, redis / (double)events);
    for (uint32_t i = 0; i < count; i++) {
        printf(" %u partitions and %.0f %% of the events;", list[i].partitions, 100 * (double)list[i].events / learned);
    }
    printf("\n");
    reco_close(watcher);
    return cpu / (double)events;
}

static void measure_sharing(bench *b) {
    const char *settings[] = {"stream", b->backlog_stream, "partitions", b->partitions, NULL};
    reco_engine *ingest = bench_open("memory:", 0, settings);
    bench_feed *feed = bench_feed_open(20000, 20000, b->how.backlog, 1);
    uint64_t events = bench_ingest(ingest, feed, b->how.backlog, 300);
    bench_feed_close(feed);
    reco_close(ingest);
    double one = learn_backlog(b, 1, events), three = learn_backlog(b, 3, events);
    printf("  three processors spend %.2f x the CPU an event of one (goal 1.2), batches of %s, %s partitions\n", three / one, b->batch,
           b->partitions);
}

int main(int argc, char **argv) {
    static bench b;
    if (argc == 6 && strcmp(argv[1], "--processor") == 0) {
        return run_processor(argv + 2);
    }
    bench_options options = bench_options_begin(argc, argv);
    b.how.quick = bench_flag(&options, "--quick");
    b.how.rate = (long)bench_number(&options, "--rate", b.how.quick ? 100 : 2000);
    b.how.warm = (long)bench_number(&options, "--warm", b.how.quick ? 1 : 30);
    b.how.seconds = (long)bench_number(&options, "--seconds", b.how.quick ? 1 : 10);
    b.how.senders = (int)bench_number(&options, "--senders", b.how.quick ? 4 : 64);
    b.how.linger = (uint32_t)bench_number(&options, "--linger", 5);
    b.how.backlog = bench_number(&options, "--backlog", b.how.quick ? 3000 : 90000);
    b.how.partitions = (uint32_t)bench_number(&options, "--partitions", 6);
    b.how.batch = (uint32_t)bench_number(&options, "--batch", 100);
    bool only_effect = bench_flag(&options, "--effect"), only_sharing = bench_flag(&options, "--sharing");
    bench_options_end(
        &options, "bench_distributed [--quick] [--effect | --sharing] [--rate N] [--warm N] [--seconds N] [--senders N up to 64] [--linger MS] "
                  "[--backlog N] [--partitions N] [--batch N]");
    bench_need(b.how.senders >= 1 && b.how.senders <= SENDERS_MAX && b.how.rate >= 1 && b.how.seconds >= 1 && b.how.partitions >= 1 &&
                   b.how.partitions <= 64,
               "out of range");
    const char *missing = kafka_server_start_lasting(&b.kafka), *aof[] = {"--appendonly", "yes", "--appendfsync", "everysec", NULL};
    if (missing) {
        test_skip(missing);
    }
    test_redis_start(&b.redis, aof);
    snprintf(b.live_stream, sizeof b.live_stream, "kafka://127.0.0.1:%u/live?replication=1&linger.ms=%u", b.kafka.port, b.how.linger);
    snprintf(b.backlog_stream, sizeof b.backlog_stream, "kafka://127.0.0.1:%u/backlog?replication=1", b.kafka.port);
    snprintf(b.features, sizeof b.features, "redis://127.0.0.1:%d", b.redis.port);
    snprintf(b.partitions, sizeof b.partitions, "%u", b.how.partitions);
    snprintf(b.batch, sizeof b.batch, "%u", b.how.batch);
    if (!only_sharing) {
        measure_effect(&b);
    }
    if (!only_effect) {
        measure_sharing(&b);
    }
    kafka_server_stop(&b.kafka);
    test_redis_stop(&b.redis);
    test_dir_remove(b.redis.folder);
    return 0;
}
