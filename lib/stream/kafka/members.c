/* stream/kafka/members.c - sharing partitions by a consumer group with cooperative-sticky assignment.
 *
 * A member joins the group PREFIX.SPACE.processors with its first `assign`, which waits a while for the group's answer. It consumes nothing: what it
 * is given is paused at once, positions are kept with features and never committed here. librdkafka gives partitions and takes them in a callback
 * that runs within `assign` only, so a partition is given up between batches and its next owner has it after that. While the group is coming to
 * rest each assign waits a few milliseconds for news. A member that stops calling assign loses its partitions after max.poll.interval.ms, a killed
 * one after session.timeout.ms; what a member that does not know it yet writes is refused by the positions in features.
 *
 * librdkafka before 2.3.0 aborts the process when a client is destroyed between being made the leader of its group and having given out partitions
 * for the first time (its issue 4312). A member that the group owes its first answer is therefore closed after that, or after a while. What is left
 * is the moment in which an older member becomes the leader because another one went. */
#include "stream/kafka/kafka.h"

#define UNREST_NS 3000000000ll
#define ANSWER_NS 15000000000ll
#define ANSWER_AMONG_NS 1000000000ll
#define LEADER_SAFE 0x02030000 /* version of librdkafka */
#define LEADER_NS 5000000000ll

struct reco_stream_member {
    reco_stream_store *store;
    rd_kafka_t *client;
    bool joined, answered;
    int64_t news_at; /* when partitions came or went */
    uint8_t owned[RECO_PARTITIONS_MAX];
};

static void take_partitions(reco_stream_member *member, const rd_kafka_topic_partition_list_t *list, uint8_t owned) {
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].partition >= 0 && (uint32_t)list->elems[i].partition < member->store->partitions) {
            member->owned[list->elems[i].partition] = owned;
        }
    }
    member->news_at = reco__monotonic_ns();
    member->answered = true;
}

static void rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque) {
    reco_stream_member *member = opaque;
    rd_kafka_error_t *error;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        for (int i = 0; i < list->cnt; i++) {
            list->elems[i].offset = 0; /* any: nothing is consumed */
        }
        error = rd_kafka_incremental_assign(client, list);
        if (list->cnt) {
            rd_kafka_pause_partitions(client, list);
        }
        take_partitions(member, list, 1);
    } else {
        error = rd_kafka_incremental_unassign(client, list);
        take_partitions(member, list, 0);
    }
    if (error) {
        reco__log(RECO_LOG_WARN, ROOM, "sharing partitions: %s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
}

reco_status reco__kafka_member_open(reco_stream_member **out, reco_stream_store *store, const reco_call *call, reco_error *err) {
    (void)call;
    reco_stream_member *member = reco__zalloc(sizeof *member);
    if (!member) {
        return reco__no_memory(err);
    }
    member->store = store;
    reco_status status = reco__kafka_client(&member->client, &store->url, KAFKA_MEMBER, store->group, rebalance, member, err);
    if (status != RECO_OK) {
        reco__release(member);
        return status;
    }
    rd_kafka_poll_set_consumer(member->client);
    __atomic_add_fetch(&store->members, 1, __ATOMIC_RELAXED);
    *out = member;
    return RECO_OK;
}

static reco_status poll_group(reco_stream_member *member, int wait_ms, reco_error *err) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(member->client, wait_ms);
    rd_kafka_resp_err_t code = message ? message->err : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (message) {
        rd_kafka_message_destroy(message);
    }
    bool grave = reco__kafka_status(code) == RECO_REFUSED || code == RD_KAFKA_RESP_ERR__FATAL;
    return grave ? reco__kafka_fail(err, code, "sharing partitions") : RECO_OK;
}

static bool is_alone(const reco_stream_member *member) { return __atomic_load_n(&member->store->members, __ATOMIC_RELAXED) <= 1; }

static void await_first_answer(reco_stream_member *member) {
    int64_t give_up = reco__monotonic_ns() + (is_alone(member) ? LEADER_NS : ANSWER_AMONG_NS);
    while (rd_kafka_version() < LEADER_SAFE && !member->answered && reco__monotonic_ns() < give_up && poll_group(member, 20, NULL) == RECO_OK) {
    }
}

void reco__kafka_member_close(reco_stream_member *member) {
    if (member->joined) {
        await_first_answer(member);
        rd_kafka_consumer_close(member->client);
    }
    rd_kafka_destroy(member->client);
    __atomic_sub_fetch(&member->store->members, 1, __ATOMIC_RELAXED);
    reco__release(member);
}

static reco_status join(reco_stream_member *member, reco_error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, member->store->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(member->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    member->joined = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    member->news_at = reco__monotonic_ns();
    return code ? reco__kafka_fail(err, code, "joining the group") : RECO_OK;
}

/* The first time: most often the group answers within a moment, unless it is the cluster's first. Not for long when this store has other members: one
 * thread may serve them all, and the group may wait for them to call `assign`. */
static reco_status await_answer(reco_stream_member *member, const reco_call *call, reco_error *err) {
    int64_t give_up = reco__monotonic_ns() + (is_alone(member) ? ANSWER_NS : ANSWER_AMONG_NS);
    reco_status status = RECO_OK;
    while (status == RECO_OK && !member->answered && reco__monotonic_ns() < give_up) {
        status = reco__call_check(call, err);
        if (status == RECO_OK) {
            status = poll_group(member, 20, err);
        }
    }
    return status;
}

reco_status reco__kafka_member_assign(uint32_t *partitions, uint32_t *count, reco_stream_member *member, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    if (!member->joined) {
        status = join(member, err);
        if (status == RECO_OK) {
            status = await_answer(member, call, err);
        }
    }
    if (status == RECO_OK) {
        bool unrest = !member->answered || reco__monotonic_ns() - member->news_at < UNREST_NS;
        status = poll_group(member, unrest ? 10 : 0, err);
    }
    *count = 0;
    for (uint32_t p = 0; status == RECO_OK && p < member->store->partitions; p++) {
        if (member->owned[p]) {
            partitions[(*count)++] = p;
        }
    }
    return status;
}

/* --- who owns what -------------------------------------------------------------------------------------------------------------------------- */

static void mark_group(uint8_t *owned, const reco_stream_member *member, const rd_kafka_ConsumerGroupDescription_t *group) {
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(group);
    for (size_t i = 0; i < members; i++) {
        const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(rd_kafka_ConsumerGroupDescription_member(group, i));
        const rd_kafka_topic_partition_list_t *list = assignment ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
        for (int k = 0; list && k < list->cnt; k++) {
            if (strcmp(list->elems[k].topic, member->store->topic) == 0 && (uint32_t)list->elems[k].partition < member->store->partitions) {
                owned[list->elems[k].partition] = 1;
            }
        }
    }
}

static rd_kafka_resp_err_t mark_owned(uint8_t *owned, const reco_stream_member *member, rd_kafka_event_t *event) {
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_DescribeConsumerGroups_result_t *result = code ? NULL : rd_kafka_event_DescribeConsumerGroups_result(event);
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **groups = result ? rd_kafka_DescribeConsumerGroups_result_groups(result, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(groups[i]);
        if (error && rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
            return rd_kafka_error_code(error);
        }
        mark_group(owned, member, groups[i]);
    }
    return code;
}

reco_status reco__kafka_member_owned(uint8_t *owned, reco_stream_member *member, const reco_call *call, reco_error *err) {
    const char *group = member->store->group;
    char why[100];
    rd_kafka_t *client = member->store->scanner;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    memcpy(owned, member->owned, member->store->partitions);
    rd_kafka_resp_err_t code = rd_kafka_AdminOptions_set_request_timeout(options, reco__kafka_left_ms(call), why, sizeof why);
    if (!code) {
        rd_kafka_DescribeConsumerGroups(client, &group, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, -1);
        code = event ? mark_owned(owned, member, event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (event) {
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return code ? reco__kafka_fail(err, code, "asking for the group") : RECO_OK;
}
