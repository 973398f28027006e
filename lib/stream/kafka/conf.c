/* stream/kafka/conf.c - the URL and the settings of clients.
 *
 *   kafka://host:port[,host:port]/PREFIX[?name=value&...]
 *
 * Names are librdkafka's own (docs of CONFIGURATION.md), refused by librdkafka when it does not know them. Ours are `replication` and
 * `create.NAME`, of the topics that are made; check=no: the configuration of topics that are there is not asked for (check.c); and NAME.file: the
 * file that has the value of NAME, for secrets need not be part of a URL. Values are percent-decoded. What the stream's promises rest on cannot be
 * set. The URL is never part of an error's text, nor is a value of a setting that may be a secret.
 */
#include "stream/kafka/kafka.h"

#include <stdio.h>
#include <stdlib.h>

/* --- errors -------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__kafka_status(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return RECO_OK;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
        return RECO_BUSY;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return RECO_TOO_LARGE;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return RECO_REFUSED;
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return RECO_INVALID;
    default:
        return RECO_UNAVAILABLE;
    }
}

reco_status reco__kafka_fail(reco_error *err, rd_kafka_resp_err_t code, const char *what) {
    return reco__fail(err, reco__kafka_status(code), NULL, "kafka: %s: %s", what, rd_kafka_err2str(code));
}

int reco__kafka_left_ms(const reco_call *call) {
    int64_t left = reco__call_left_ns(call);
    left = left > PATIENCE_NS ? PATIENCE_NS : left;
    return (int)(left / 1000000) + 1;
}

/* --- the URL ------------------------------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A decoded copy; NULL when memory is out or an escape is bad (*bad). */
static char *decoded(const char *text, size_t size, bool *bad) {
    char *out = reco__alloc(size + 1);
    size_t at = 0;
    for (size_t i = 0; out && i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < size ? hex_digit(text[i + 1]) : -1, low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0) {
                *bad = true;
                reco__release(out);
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[at++] = c;
    }
    if (out) {
        out[at] = '\0';
    }
    return out;
}

/* What exactness rests on. */
static const char *const reserved[] = {"bootstrap.servers",
                                       "metadata.broker.list",
                                       "enable.idempotence",
                                       "acks",
                                       "request.required.acks",
                                       "transactional.id",
                                       "group.id",
                                       "enable.auto.commit",
                                       "auto.commit.enable",
                                       "enable.auto.offset.store",
                                       "auto.offset.reset",
                                       "enable.partition.eof",
                                       "partition.assignment.strategy",
                                       "isolation.level",
                                       "delivery.report.only.error",
                                       "produce.offset.report"};

static bool may_be_secret(const char *name) {
    static const char *const parts[] = {"password", "secret", "key", "pem", "certificate", "oauthbearer", "username", "jaas"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(name, parts[i])) {
            return true;
        }
    }
    return false;
}

static reco_status set_one(rd_kafka_conf_t *conf, const char *name, const char *value, reco_error *err) {
    char why[200];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    if (result == RD_KAFKA_CONF_OK) {
        return RECO_OK;
    }
    if (result == RD_KAFKA_CONF_INVALID && may_be_secret(name)) {
        return reco__fail(err, RECO_INVALID, "url", "kafka: librdkafka refuses the value of %.60s", name);
    }
    return reco__fail(err, RECO_INVALID, "url", "kafka: %s", why);
}

static reco_status add_create(kafka_url *url, const char *name, const char *value, reco_error *err) {
    struct kafka_setting *more = reco__realloc_array(url->create, url->create_count + 1, sizeof *more);
    if (!more) {
        return reco__no_memory(err);
    }
    url->create = more;
    struct kafka_setting *setting = &more[url->create_count];
    setting->name = reco__strndup(name, strlen(name));
    setting->value = reco__strndup(value, strlen(value));
    url->create_count++;
    return setting->name && setting->value ? RECO_OK : reco__no_memory(err);
}

static reco_status take_setting(kafka_url *url, const char *name, const char *value, reco_error *err);

/* The first line of a file. */
static reco_status take_from_file(kafka_url *url, const char *name, size_t name_size, const char *path, reco_error *err) {
    char value[4096], *inner = reco__strndup(name, name_size);
    FILE *file = fopen(path, "r");
    reco_status status = RECO_OK;
    if (!inner) {
        status = reco__no_memory(err);
    } else if (!file || !fgets(value, sizeof value, file)) {
        status = reco__fail(err, RECO_INVALID, "url", "kafka: the file of %.60s cannot be read or is empty", inner);
    } else {
        value[strcspn(value, "\r\n")] = '\0';
        status = take_setting(url, inner, value, err);
    }
    memset(value, 0, sizeof value);
    if (file) {
        fclose(file);
    }
    reco__release(inner);
    return status;
}

static reco_status take_setting(kafka_url *url, const char *name, const char *value, reco_error *err) {
    size_t size = strlen(name);
    if (size > 5 && strcmp(name + size - 5, ".file") == 0) {
        return take_from_file(url, name, size - 5, value, err);
    }
    if (strcmp(name, "replication") == 0) {
        char *end;
        long n = strtol(value, &end, 10);
        if (*end || end == value || n < 1 || n > 100) {
            return reco__fail(err, RECO_INVALID, "url", "kafka: replication is 1 to 100");
        }
        url->replication = (int)n;
        return RECO_OK;
    }
    if (strcmp(name, "check") == 0) {
        url->unchecked = strcmp(value, "no") == 0;
        return url->unchecked || strcmp(value, "yes") == 0 ? RECO_OK : reco__fail(err, RECO_INVALID, "url", "kafka: check is yes or no");
    }
    if (strncmp(name, "create.", 7) == 0) {
        return add_create(url, name + 7, value, err);
    }
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (strcmp(name, reserved[i]) == 0) {
            return reco__fail(err, RECO_INVALID, "url", "kafka: %s is set by libreco", name);
        }
    }
    return set_one(url->conf, name, value, err);
}

static reco_status parse_query(kafka_url *url, const char *query, reco_error *err) {
    reco_status status = RECO_OK;
    while (status == RECO_OK && *query) {
        size_t size = strcspn(query, "&"), name_size = strcspn(query, "=&");
        bool bad = name_size == size || name_size == 0;
        char *name = decoded(query, name_size, &bad), *value = bad ? NULL : decoded(query + name_size + 1, size - name_size - 1, &bad);
        if (bad) {
            status = reco__fail(err, RECO_INVALID, "url", "kafka: settings are name=value, joined by &, percent-encoded");
        } else if (!name || !value) {
            status = reco__no_memory(err);
        } else {
            status = take_setting(url, name, value, err);
        }
        reco__release(name);
        reco__release(value);
        query += size;
        query += *query == '&';
    }
    return status;
}

/* For all roles; the user's settings go on top of the first list, ours of `roles` on top of the user's. */
static const char *const defaults[][2] = {{"client.id", "libreco"},
                                          {"log_level", "5"},
                                          {"linger.ms", "5"},
                                          {"message.timeout.ms", "10000"},
                                          {"message.max.bytes", "1200000"},
                                          {"queue.buffering.max.messages", "1100000"},
                                          {"queue.buffering.max.kbytes", "262144"},
                                          {"queued.max.messages.kbytes", "8192"},
                                          {"fetch.min.bytes", "65536"}, /* what comes within fetch.wait.max.ms is fetched together */
                                          {"fetch.wait.max.ms", "15"},
                                          {"fetch.error.backoff.ms", "20"},
                                          {"socket.nagle.disable", "true"},
                                          {"socket.keepalive.enable", "true"},
                                          {"socket.timeout.ms", "6000"}, /* a fetch waits that long for a broker that is gone without a word */
                                          {"reconnect.backoff.max.ms", "1000"},
                                          {"topic.metadata.refresh.fast.interval.ms", "50"},
                                          {"session.timeout.ms", "6000"},
                                          {"heartbeat.interval.ms", "300"}};

static reco_status parse(kafka_url *out, const char *url, reco_error *err) {
    if (strncmp(url, "kafka://", 8) != 0) {
        return reco__fail(err, RECO_INVALID, "url", "kafka: kafka://host:port[,host:port]/PREFIX[?name=value&...] is wanted");
    }
    const char *brokers = url + 8;
    size_t size = strcspn(brokers, "/?");
    if (size == 0 || brokers[size] != '/' || memchr(brokers, '@', size)) {
        return reco__fail(err, RECO_INVALID, "url",
                          "kafka: brokers as host:port[,host:port], then /PREFIX; names and passwords are settings (sasl...)");
    }
    const char *prefix = brokers + size + 1;
    size_t prefix_size = strcspn(prefix, "?");
    if (prefix_size == 0 || prefix_size > 100 || strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") != prefix_size) {
        return reco__fail(err, RECO_INVALID, "url", "kafka: the prefix of topics has 1 to 100 of A-Z a-z 0-9 _ . -");
    }
    out->brokers = reco__strndup(brokers, size);
    out->prefix = reco__strndup(prefix, prefix_size);
    if (!out->brokers || !out->prefix) {
        return reco__no_memory(err);
    }
    reco_status status = RECO_OK;
    for (size_t i = 0; status == RECO_OK && i < sizeof defaults / sizeof defaults[0]; i++) {
        status = set_one(out->conf, defaults[i][0], defaults[i][1], err);
    }
    if (status == RECO_OK) {
        status = set_one(out->conf, "bootstrap.servers", out->brokers, err);
    }
    return status == RECO_OK && prefix[prefix_size] ? parse_query(out, prefix + prefix_size + 1, err) : status;
}

reco_status reco__kafka_url_parse(kafka_url *out, const char *url, reco_error *err) {
    *out = (kafka_url){.conf = rd_kafka_conf_new(), .replication = -1};
    reco_status status = parse(out, url, err);
    if (status != RECO_OK) {
        reco__kafka_url_dispose(out);
    }
    return status;
}

void reco__kafka_url_dispose(kafka_url *url) {
    for (size_t i = 0; i < url->create_count; i++) {
        reco__release(url->create[i].name);
        reco__release(url->create[i].value);
    }
    reco__release(url->create);
    reco__release(url->brokers);
    reco__release(url->prefix);
    if (url->conf) {
        rd_kafka_conf_destroy(url->conf);
    }
    memset(url, 0, sizeof *url);
}

/* --- clients ------------------------------------------------------------------------------------------------------------------------------- */

/* librdkafka's levels are syslog's, as ours are. Settings of another role are no news. */
static void take_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    if (strcmp(facility, "CONFWARN") != 0) {
        reco__log(level < RECO_LOG_ERROR ? RECO_LOG_ERROR : level, ROOM, "%s: %s: %s", rd_kafka_name(client), facility, text);
    }
}

static reco_status set_role(rd_kafka_conf_t *conf, kafka_role role, const char *group, reco_error *err) {
    static const char *const settings[][3] = {{"P", "enable.idempotence", "true"},
                                              {"P", "statistics.interval.ms", "5000"},
                                              {"P", "acks", "all"},
                                              {"SR", "enable.partition.eof", "true"},
                                              {"SR", "auto.offset.reset", "error"},
                                              {"M", "auto.offset.reset", "latest"},
                                              {"S", "fetch.min.bytes", "1"},
                                              {"M", "enable.auto.commit", "false"},
                                              {"SRM", "isolation.level", "read_uncommitted"},
                                              {"M", "partition.assignment.strategy", "cooperative-sticky"}};
    const char letter = "PSRM"[role];
    reco_status status = RECO_OK;
    for (size_t i = 0; status == RECO_OK && i < sizeof settings / sizeof settings[0]; i++) {
        if (strchr(settings[i][0], letter)) {
            status = set_one(conf, settings[i][1], settings[i][2], err);
        }
    }
    if (status == RECO_OK && group) {
        status = set_one(conf, "group.id", group, err);
    }
    return status;
}

/* Called by rd_kafka_poll on a scanner. */
static void take_error(rd_kafka_t *client, int code, const char *reason, void *opaque) {
    reco_stream_store *store = opaque;
    (void)client;
    if (reco__kafka_status((rd_kafka_resp_err_t)code) == RECO_REFUSED) {
        snprintf(store->denied, sizeof store->denied, "%s", reason);
    }
}

reco_status reco__kafka_client(rd_kafka_t **out, const kafka_url *url, kafka_role role, const char *group,
                               void (*rebalance)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *), void *opaque,
                               reco_error *err) {
    char why[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(url->conf);
    reco_status status = set_role(conf, role, group, err);
    if (status != RECO_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_log_cb(conf, take_log);
    rd_kafka_conf_set_opaque(conf, opaque);
    if (rebalance) {
        rd_kafka_conf_set_rebalance_cb(conf, rebalance);
    }
    if (role == KAFKA_SCANNER) {
        rd_kafka_conf_set_error_cb(conf, take_error);
    }
    if (role == KAFKA_PRODUCER) {
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
    }
    *out = rd_kafka_new(role == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!*out) {
        rd_kafka_conf_destroy(conf);
        /* librdkafka's text may hold what a key or a certificate begins with, when it is that which it cannot read */
        return reco__fail(err, RECO_INVALID, "url", "kafka: librdkafka cannot make a client of these settings%s%s", strstr(why, "ssl.") ? "" : ": ",
                          strstr(why, "ssl.") ? " (ssl.*)" : why);
    }
    return RECO_OK;
}
