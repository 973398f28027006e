/* engine/snapshots.c - snapshots that are taken by the way, and what they are for.
 *
 * A process with a processor looks once a second whether `snapshots.every` records were learned since the newest snapshot in `snapshots.folder`, and
 * takes one. Files are named NAMESPACE-MILLISECONDS with an ending that says what is known of them:
 *
 *   .unverified   taken, and not compared yet
 *   .snapshot     equal to a replay of the stream from the .snapshot before it, or from the beginning where the stream still has it
 *   .differs      not equal: kept to be looked at, used for nothing
 *
 * The newest `snapshots.kept` of each of the first two stay. With `snapshots.trim` the stream is trimmed to the oldest .snapshot that stays: a base
 * that is verified, and never the newest one alone when more are kept. A stream that had lost its beginning before the first snapshot was taken is
 * never trimmed, for there is nothing to verify the first one against. Nor is any to a file that was damaged since: who trims reads it first.
 *
 * A processor that finds features empty, while the stream goes on from elsewhere or has been going on for long, loads the newest snapshot that lies
 * within the stream and goes on from there (relearn). A process that answers and begins meanwhile takes what is popular from the newest one (recall).
 * Several processes may share the folder; a lock on NAMESPACE.lock lets one at a time take and verify. */
#include "engine/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/hashing.h"
#include "engine/snapshot_file.h"

#define PATH_ROOM 1400u

typedef struct shelf_file {
    int64_t stamp; /* ms */
    bool verified;
} shelf_file;

/* The files of the namespace, newest first. */
typedef struct shelf {
    shelf_file files[RECO__SNAPSHOTS_MOST];
    size_t count;
} shelf;

bool reco__snapshots_wanted(const reco_engine *engine) { return engine->settings.snapshots_folder[0] != 0; }

static const char *path_of(char out[PATH_ROOM], const reco_engine *engine, int64_t stamp, const char *ending) {
    snprintf(out, PATH_ROOM, "%s/%s-%013lld.%s", engine->settings.snapshots_folder, engine->settings.space, (long long)stamp, ending);
    return out;
}

static const char *file_path(char out[PATH_ROOM], const reco_engine *engine, const shelf_file *file) {
    return path_of(out, engine, file->stamp, file->verified ? "snapshot" : "unverified");
}

/* --- the folder ----------------------------------------------------------------------------------------------------------------------------- */

static bool parse_name(shelf_file *out, const reco_engine *engine, const char *name) {
    size_t space = strlen(engine->settings.space);
    char *end = NULL;
    if (strncmp(name, engine->settings.space, space) != 0 || name[space] != '-' || name[space + 1] < '0' || name[space + 1] > '9')
        return false;
    errno = 0;
    out->stamp = strtoll(name + space + 1, &end, 10);
    out->verified = strcmp(end, ".snapshot") == 0;
    return errno == 0 && end == name + space + 14 && (out->verified || strcmp(end, ".unverified") == 0);
}

static void put_file(shelf *to, shelf_file file) {
    size_t at = to->count < RECO__SNAPSHOTS_MOST ? to->count++ : RECO__SNAPSHOTS_MOST;
    while (at > 0 && to->files[at - 1].stamp < file.stamp) {
        if (at < RECO__SNAPSHOTS_MOST)
            to->files[at] = to->files[at - 1];
        at--;
    }
    if (at < RECO__SNAPSHOTS_MOST)
        to->files[at] = file;
}

static reco_status look_over(shelf *out, const reco_engine *engine, reco_error *err) {
    out->count = 0;
    DIR *folder = opendir(engine->settings.snapshots_folder);
    if (!folder)
        return errno == ENOENT ? RECO_OK : reco__fail_errno(err, errno, "reading snapshots.folder");
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        shelf_file file;
        if (parse_name(&file, engine, entry->d_name))
            put_file(out, file);
    }
    closedir(folder);
    return RECO_OK;
}

/* Holds the lock of the folder; *fd < 0: somebody else does. */
reco_status reco__snapshots_lock(int *fd, const reco_engine *engine, reco_error *err) {
    char path[PATH_ROOM];
    if (mkdir(engine->settings.snapshots_folder, 0700) != 0 && errno != EEXIST)
        return reco__fail_errno(err, errno, "making snapshots.folder");
    snprintf(path, sizeof path, "%s/%s.lock", engine->settings.snapshots_folder, engine->settings.space);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return reco__fail_errno(err, errno, "locking snapshots.folder");
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        close(*fd);
        *fd = -1;
    }
    return RECO_OK;
}

/* --- taking --------------------------------------------------------------------------------------------------------------------------------- */

static int64_t total(const reco_engine *engine, const reco_position *positions) {
    int64_t sum = 0;
    for (uint32_t p = 0; p < engine->partitions; p++)
        sum += positions[p].offset;
    return sum;
}

static reco_status positions_of(reco_position *positions, const reco_engine *engine, const char *path, reco_error *err) {
    return reco__snapshot_positions(positions, path, (reco_str){engine->fingerprint.data, engine->fingerprint.size}, reco__stream_id(engine->stream),
                                    engine->partitions, err);
}

/* Whether so many records were learned since the newest snapshot that fits. */
static reco_status is_due(bool *due, reco_engine *engine, const shelf *have, const reco_call *call, reco_error *err) {
    reco_position learned[RECO_PARTITIONS_MAX], positions[RECO_PARTITIONS_MAX];
    char path[PATH_ROOM];
    int64_t newest = 0;
    uint64_t epoch;
    reco_status status = reco__features_positions(learned, &epoch, engine->features, call, err);
    for (size_t i = 0; status == RECO_OK && i < have->count && newest == 0; i++)
        if (positions_of(positions, engine, file_path(path, engine, &have->files[i]), NULL) == RECO_OK)
            newest = total(engine, positions);
    *due = status == RECO_OK && total(engine, learned) >= newest + (int64_t)engine->settings.snapshots_every;
    return status;
}

/* The newest verified one that can be replayed from; NULL and *beginning: the beginning of the stream, if it is still there. */
static reco_status find_base(const shelf_file **base, bool *beginning, reco_engine *engine, const shelf *have, const reco_call *call,
                             reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_status status = reco__stream_spans(spans, engine->stream, call, err);
    *base = NULL;
    *beginning = status == RECO_OK;
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        *beginning = *beginning && spans[p].begin == 0;
    for (size_t i = 0; i < have->count && !*base; i++)
        if (have->files[i].verified)
            *base = &have->files[i];
    return status;
}

/* The snapshot at `path` against a replay from the base. */
static reco_status compare(bool *equal, reco_engine *engine, const char *path, const char *base, const reco_call *call, reco_error *err) {
    reco__features *taken = NULL, *replayed = NULL;
    reco__hashing a = {0}, b = {0};
    reco_status status = reco__engine_open_features(&taken, engine, "memory:", RECO_FEATURES_SCRATCH, call, err);
    if (status == RECO_OK) /* also compares what it holds with the hash it states */
        status = reco__snapshot_load(taken, engine, path, call, err);
    if (status == RECO_OK)
        status = reco__hashing_run(&a, taken, engine->stream, &engine->rules, engine->partitions, false, call, err);
    reco__features_close(taken);
    if (status == RECO_OK)
        status = reco__engine_open_features(&replayed, engine, "memory:", RECO_FEATURES_SCRATCH, call, err);
    if (status == RECO_OK && base)
        status = reco__snapshot_load(replayed, engine, base, call, err);
    reco_verification unused = {.struct_size = sizeof unused};
    if (status == RECO_OK)
        status = reco__verify_replay(&unused, engine, replayed, a.positions, call, err);
    if (status == RECO_OK)
        status = reco__hashing_run(&b, replayed, engine->stream, &engine->rules, engine->partitions, false, call, err);
    if (status == RECO_OK) {
        reco__u128 x = reco__state_hash_total(&a.hash), y = reco__state_hash_total(&b.hash);
        *equal = x.low == y.low && x.high == y.high;
    }
    reco__features_close(replayed);
    reco__hashing_dispose(&a);
    reco__hashing_dispose(&b);
    return status;
}

static reco_status verify_taken(int64_t stamp, reco_engine *engine, const shelf *have, const reco_call *call, reco_error *err) {
    char path[PATH_ROOM], base_path[PATH_ROOM], named[PATH_ROOM];
    const shelf_file *base;
    bool beginning, equal = false;
    reco_status status = find_base(&base, &beginning, engine, have, call, err);
    if (status != RECO_OK || (!base && !beginning))
        return status;
    path_of(path, engine, stamp, "unverified");
    status = compare(&equal, engine, path, base ? file_path(base_path, engine, base) : NULL, call, err);
    if (status == RECO_NOT_FOUND || status == RECO_CORRUPT) { /* the stream no longer has it, or the file is damaged: it proves nothing */
        reco__log(RECO_LOG_WARN, "snapshots", "%s is not verified: %s", path, err ? err->text : reco_status_text(status));
        return RECO_OK;
    }
    if (status != RECO_OK)
        return status;
    path_of(named, engine, stamp, equal ? "snapshot" : "differs");
    if (rename(path, named) != 0)
        return reco__fail_errno(err, errno, "naming a snapshot");
    atomic_fetch_add(equal ? &engine->counters.snapshots_verified : &engine->counters.snapshots_different, 1);
    if (!equal)
        reco__log(RECO_LOG_ERROR, "snapshots", "%s is not what a replay of the stream gives: what was learned is wrong; see reco verify", named);
    return RECO_OK;
}

/* What the archive has yet to read stays in the stream; how far it is, only a process with an archiver knows. */
int64_t reco__snapshots_archived(const reco_engine *engine, uint32_t partition, int64_t offset) {
    if (!engine->settings.archive[0])
        return offset;
    int64_t archived = atomic_load(&engine->archiving) ? atomic_load(&engine->archived[partition]) : 0;
    return archived < 0 ? 0 : archived < offset ? archived : offset;
}

static bool is_bad_file(reco_status status) {
    return status == RECO_CORRUPT || status == RECO_REFUSED || status == RECO_NEWER || status == RECO_NOT_FOUND || status == RECO_UNSUPPORTED;
}

/* A file as it lies there: another time, size or place is another one. */
static uint64_t identity_of(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    const uint64_t told[] = {(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                             (uint64_t)st.st_mtim.tv_nsec};
    return reco__hash64(told, sizeof told, 0) | 1;
}

/* Whether a snapshot is as it was when it was verified, which its name alone does not say. Each is read once by a process. */
static reco_status check_intact(reco_engine *engine, const char *path, reco_error *err) {
    uint64_t identity = identity_of(path);
    atomic_uint_fast64_t *slot = &engine->intact[identity / 2 % RECO__INTACT_SLOTS];
    if (identity && atomic_load(slot) == identity)
        return RECO_OK;
    reco_status status = reco__frames_check(path, err);
    if (status == RECO_OK)
        atomic_store(slot, identity);
    return status;
}

reco_status reco__snapshots_oldest(reco_position *positions, reco_engine *engine, reco_error *err) {
    shelf have;
    char path[PATH_ROOM];
    uint32_t kept = 0;
    bool found = false;
    reco_position candidate[RECO_PARTITIONS_MAX];
    reco_status status = look_over(&have, engine, err);
    for (size_t i = 0; status == RECO_OK && i < have.count && kept < engine->settings.snapshots_kept; i++) {
        if (!have.files[i].verified)
            continue;
        kept++;
        reco_error why = RECO_ERROR_INIT;
        reco_status fits = positions_of(candidate, engine, file_path(path, engine, &have.files[i]), &why);
        if (fits == RECO_OK)
            fits = check_intact(engine, path, &why);
        if (is_bad_file(fits))
            reco__log(RECO_LOG_WARN, "snapshots", "%s is no base to trim to: %s", path, why.text);
        if (fits == RECO_OK) {
            memcpy(positions, candidate, engine->partitions * sizeof *positions);
            found = true;
        } else if (!is_bad_file(fits)) {
            if (err)
                *err = why;
            return fits;
        }
    }
    return status == RECO_OK && !found ? RECO_NOT_FOUND : status;
}

static reco_status trim(reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_position positions[RECO_PARTITIONS_MAX];
    reco_status status = reco__snapshots_oldest(positions, engine, err);
    if (status == RECO_NOT_FOUND)
        return RECO_OK;
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        status = reco__stream_trim(engine->stream, p, reco__snapshots_archived(engine, p, positions[p].offset), call, err);
    return status;
}

/* Keeps the newest of both kinds and removes the others; trims the stream to the oldest verified one that stays. */
static reco_status tidy(reco_engine *engine, const reco_call *call, reco_error *err) {
    shelf have;
    uint32_t kept[2] = {0, 0};
    char path[PATH_ROOM];
    reco_status status = look_over(&have, engine, err);
    for (size_t i = 0; status == RECO_OK && i < have.count; i++) {
        const shelf_file *file = &have.files[i];
        if (kept[file->verified]++ >= engine->settings.snapshots_kept && unlink(file_path(path, engine, file)) != 0 && errno != ENOENT)
            status = reco__fail_errno(err, errno, "removing a snapshot");
    }
    return status == RECO_OK && engine->settings.snapshots_trim ? trim(engine, call, err) : status;
}

static reco_status take(reco_engine *engine, const shelf *have, const reco_call *call, reco_error *err) {
    char path[PATH_ROOM];
    int64_t stamp = reco__now_ms();
    if (have->count > 0 && stamp <= have->files[0].stamp)
        stamp = have->files[0].stamp + 1; /* the clock went back, or two in a millisecond */
    reco_status status = reco_snapshot(NULL, engine, path_of(path, engine, stamp, "unverified"), call, err);
    if (status != RECO_OK)
        return status;
    atomic_fetch_add(&engine->counters.snapshots, 1);
    status = verify_taken(stamp, engine, have, call, err);
    return status == RECO_OK ? tidy(engine, call, err) : status;
}

reco_status reco__snapshots_step(reco_engine *engine, const reco_call *call, reco_error *err) {
    shelf have;
    bool due = false;
    int lock = -1;
    if (!reco__snapshots_wanted(engine) || engine->settings.snapshots_every == 0)
        return RECO_OK;
    reco_status status = look_over(&have, engine, err);
    if (status == RECO_OK)
        status = is_due(&due, engine, &have, call, err);
    if (status == RECO_OK && due)
        status = reco__snapshots_lock(&lock, engine, err);
    if (status != RECO_OK || lock < 0)
        return status;
    status = look_over(&have, engine, err); /* another process may have taken one just now */
    if (status == RECO_OK)
        status = is_due(&due, engine, &have, call, err);
    if (status == RECO_OK && due)
        status = take(engine, &have, call, err);
    close(lock);
    return status;
}

/* --- learning again --------------------------------------------------------------------------------------------------------------------------- */

/* Whether the stream still goes on from there, and has come so far. */
static bool lies_within(const reco_engine *engine, const reco_position *positions, const reco_stream_span *spans) {
    for (uint32_t p = 0; p < engine->partitions; p++)
        if (positions[p].offset < spans[p].begin || positions[p].offset > spans[p].end)
            return false;
    return true;
}

/* A file that failed in the middle has left the store marked as being loaded: empty again, it can be learned from the beginning. */
static reco_status empty_again(reco__features *features, const reco_call *call, reco_error *err) {
    const reco_position nothing[RECO_PARTITIONS_MAX] = {{0, 0}};
    reco_restore_piece piece = {.struct_size = sizeof piece, .flags = RECO_RESTORE_FIRST | RECO_RESTORE_LAST, .positions = nothing};
    return reco__features_restore(features, &piece, call, err);
}

reco_status reco__snapshots_relearn(reco_engine *engine, const reco_call *call, reco_error *err) {
    shelf have = {.count = 0};
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_position positions[RECO_PARTITIONS_MAX];
    char path[PATH_ROOM];
    bool begun = false;
    if (!reco__snapshots_wanted(engine))
        return RECO_NOT_FOUND;
    reco_status status = look_over(&have, engine, err);
    if (status == RECO_OK)
        status = reco__stream_spans(spans, engine->stream, call, err);
    for (size_t i = 0; status == RECO_OK && i < have.count; i++) {
        reco_error why = RECO_ERROR_INIT;
        status = positions_of(positions, engine, file_path(path, engine, &have.files[i]), &why);
        if (status == RECO_OK && !lies_within(engine, positions, spans))
            continue;
        if (status == RECO_OK) {
            reco__log(RECO_LOG_WARN, "snapshots", "features are empty: loading %s", path);
            status = reco__snapshot_load(engine->features, engine, path, call, &why);
            begun = begun || is_bad_file(status);
        }
        if (status == RECO_OK) {
            atomic_fetch_add(&engine->counters.relearned, 1);
            reco__log(RECO_LOG_WARN, "snapshots", "loaded %s; what came later is learned from the stream", path);
            return RECO_OK;
        }
        if (!is_bad_file(status)) {
            if (err)
                *err = why;
            return status;
        }
        reco__log(RECO_LOG_WARN, "snapshots", "%s cannot be used: %s", path, why.text);
        status = RECO_OK;
    }
    if (status == RECO_OK && begun)
        status = empty_again(engine->features, call, err);
    return status == RECO_OK ? RECO_NOT_FOUND : status;
}

/* --- remembering ------------------------------------------------------------------------------------------------------------------------------ */

static bool is_as_far(const reco_engine *engine, const reco_position *now, const reco_position *then) {
    for (uint32_t p = 0; p < engine->partitions; p++)
        if (now[p].offset < then[p].offset)
            return false;
    return true;
}

reco_status reco__snapshots_recall(reco__features **out, reco_position *then, void *of, const reco_position *now, const reco_call *call,
                                   reco_error *err) {
    reco_engine *engine = of;
    shelf have = {.count = 0};
    char path[PATH_ROOM];
    reco_status status = look_over(&have, engine, err);
    for (size_t i = 0; status == RECO_OK && i < have.count; i++) {
        reco__features *store = NULL;
        file_path(path, engine, &have.files[i]);
        if (positions_of(then, engine, path, NULL) != RECO_OK)
            continue;
        if (now && is_as_far(engine, now, then))
            break;
        status = reco__engine_open_features(&store, engine, "memory:", RECO_FEATURES_SCRATCH, call, err);
        if (status == RECO_OK)
            status = reco__snapshot_load_popular(store, engine, path, call, err);
        if (status == RECO_OK) {
            reco__log(RECO_LOG_WARN, "snapshots", "features have yet to learn what %s holds: what is popular is taken from there", path);
            *out = store;
            return RECO_OK;
        }
        reco__features_close(store);
        status = is_bad_file(status) ? RECO_OK : status;
    }
    return status == RECO_OK ? reco__fail(err, RECO_NOT_FOUND, "snapshots.folder", "no snapshot holds more than features do") : status;
}

/* --- healing from ---------------------------------------------------------------------------------------------------------------------------------
 */

static bool is_at_most(const reco_engine *engine, const reco_position *positions, const int64_t *most) {
    for (uint32_t p = 0; p < engine->partitions; p++)
        if (positions[p].offset > most[p])
            return false;
    return true;
}

reco_status reco__snapshots_base(reco__features *scratch, reco_engine *engine, const int64_t *most, const reco_call *call, reco_error *err) {
    shelf have = {.count = 0};
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_position positions[RECO_PARTITIONS_MAX];
    char path[PATH_ROOM];
    reco_status status = reco__snapshots_wanted(engine) ? look_over(&have, engine, err) : RECO_OK;
    if (status == RECO_OK)
        status = reco__stream_spans(spans, engine->stream, call, err);
    for (size_t i = 0; status == RECO_OK && i < have.count; i++) {
        file_path(path, engine, &have.files[i]);
        if (!have.files[i].verified || positions_of(positions, engine, path, NULL) != RECO_OK || !lies_within(engine, positions, spans) ||
            !is_at_most(engine, positions, most))
            continue;
        reco_error why = RECO_ERROR_INIT;
        status = reco__snapshot_load_cells(scratch, engine, path, call, &why);
        if (status == RECO_OK) {
            reco__log(RECO_LOG_WARN, "snapshots", "healing begins at %s", path);
            return RECO_OK;
        }
        reco__log(RECO_LOG_WARN, "snapshots", "%s cannot be used: %s", path, why.text);
        if (!is_bad_file(status)) {
            if (err)
                *err = why;
            return status;
        }
        status = empty_again(scratch, call, err);
    }
    return status == RECO_OK ? reco__fail(err, RECO_NOT_FOUND, "snapshots.folder", "no verified snapshot is old enough to heal from") : status;
}
