/* engine/doctor.c - common trouble, found and explained: where the stores lie, who has them open, how they were left, what is in them, and whether it
 * fits the settings.
 *
 * Each store is looked at from the outside in, and no further than it can be trusted: the folder, then the meta pages of its file, then LMDB opened
 * for reading beside whoever writes, then what the stores say of each other. A finding never stops what does not depend on it. Nothing is written and
 * no lock taken, so that it can be run on a directory in trouble, by anybody who may read it, as often as wanted. What it does not do: read all there
 * is (reco verify does), or talk to servers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config/settings.h"
#include "engine/engine.h"
#include "engine/snapshot_file.h"
#include "features/lmdb.h"
#include "records/lmdb.h"
#include "stream/lmdb.h"

#define LAG_MS INT64_C(60000)
#define BEHIND_TRANSACTIONS 1000u
#define PATH_ROOM 1400u

enum { STREAM, FEATURES, RECORDS, STORES };
static const char *const store_names[STORES] = {"stream", "features", "records"};

typedef struct doctor {
    const reco__settings *settings;
    const reco_call *call;
    reco_finding_sink sink;
    void *context;
    uint32_t worst;
    bool no_memory;
    char directory[STORES][1100]; /* "": on a server, or in memory */
    reco__kv_place places[STORES];
    reco__kv *kv[STORES]; /* NULL: cannot be looked into */
    reco__stream_look stream;
    bool known;  /* the namespace has a stream */
    bool held;   /* somebody has a store open */
    bool denied; /* it was told that permissions are missing: that what they are for fails says nothing more */
    uint32_t spaces;
    char others[240]; /* namespaces, for people */
    uint32_t verified, different;
} doctor;

static void __attribute__((format(printf, 5, 6))) tell(doctor *d, uint32_t severity, const char *id, const char *advice, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reco_finding finding = {.struct_size = sizeof finding, .severity = severity, .id = id, .text = text, .advice = advice};
    d->worst = severity > d->worst ? severity : d->worst;
    d->sink(d->context, &finding);
}

/* Of what is told next. */
static doctor *denied(doctor *d) {
    d->denied = true;
    return d;
}

static const char *bytes_text(char out[32], uint64_t bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(out, 32, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

/* --- where they lie ------------------------------------------------------------------------------------------------------------------------ */

static void find_directories(doctor *d) {
    const char *urls[STORES] = {d->settings->stream, d->settings->features, d->settings->records};
    for (size_t i = 0; i < STORES; i++) {
        if (strncmp(urls[i], "lmdb:", 5) == 0)
            snprintf(d->directory[i], sizeof d->directory[i], "%s", urls[i] + 5);
        else if (urls[i][0] == 0 && strcmp(d->settings->data, "memory:") != 0)
            snprintf(d->directory[i], sizeof d->directory[i], "%s", d->settings->data);
        else if (urls[i][0] == 0 || strncmp(urls[i], "memory:", 7) == 0)
            tell(d, RECO_FINDING_NOTE, "memory", "Name a directory to keep it.", "The %s is in memory and ends with its process.", store_names[i]);
        else
            tell(d, RECO_FINDING_NOTE, "server", "Ask the services for /ready, which tells whether it answers.",
                 "The %s is on a server (%.*s), which is not looked at.", store_names[i], (int)strcspn(urls[i], ":"), urls[i]);
    }
}

/* True when this directory was looked at for an earlier store. */
static bool seen_before(const doctor *d, size_t store) {
    for (size_t i = 0; i < store; i++)
        if (strcmp(d->directory[i], d->directory[store]) == 0)
            return true;
    return false;
}

static void parent_of(char out[PATH_ROOM], const char *path) {
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    while (size > 1 && path[size - 1] == '/')
        size--;
    snprintf(out, PATH_ROOM, "%.*s", size ? (int)size : 1, size ? path : ".");
}

static void look_at_missing(doctor *d, const char *path) {
    char parent[PATH_ROOM];
    parent_of(parent, path);
    if (access(parent, F_OK) != 0)
        tell(d, RECO_FINDING_ERROR, "no_parent", "Make the folder, or correct the setting data.", "%s cannot be made: %s does not exist.", path,
             parent);
    else if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) != 0)
        tell(denied(d), RECO_FINDING_ERROR, "permissions", "Let the user of the service write there, or make the directory as that user.",
             "%s cannot be made: user %ld may not write to %s.", path, (long)geteuid(), parent);
    else
        tell(d, RECO_FINDING_NOTE, "missing", "It is made when an engine is opened on it; correct the setting data if there should be something.",
             "%s does not exist.", path);
}

static void look_at_disk(doctor *d, const char *path) {
    struct statvfs vfs;
    char left[32], wanted[32];
    if (statvfs(path, &vfs) != 0)
        return;
    uint64_t free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize, least = d->settings->min_free;
    if (vfs.f_flag & ST_RDONLY)
        tell(d, RECO_FINDING_ERROR, "read_only", "Mount it for writing; after errors of the disk the kernel mounts it so itself (dmesg tells).",
             "The disk of %s is mounted for reading only.", path);
    else if (free_bytes < least)
        tell(d, RECO_FINDING_ERROR, "disk_full", "Make room: events are refused until there is. Trimming the stream (snapshots.trim) still works.",
             "The disk of %s has %s left; limits.min_free wants %s.", path, bytes_text(left, free_bytes), bytes_text(wanted, least));
    else if (free_bytes < 4 * least)
        tell(d, RECO_FINDING_WARNING, "disk_nearly_full", "Make room before events are refused.",
             "The disk of %s has %s left; below %s events are refused.", path, bytes_text(left, free_bytes), bytes_text(wanted, least));
}

static void look_at_leftover(doctor *d, const char *path) {
    char partial[PATH_ROOM];
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    snprintf(partial, sizeof partial, "%.*s.partial", (int)size, path);
    if (access(partial, F_OK) == 0)
        tell(d, RECO_FINDING_NOTE, "leftover", "The next restore into the directory uses it; otherwise it can be removed.",
             "%s was left by a restore that did not end, or is at work.", partial);
}

/* True when there is something to look into. */
static bool look_at_directory(doctor *d, const char *path) {
    struct stat st;
    look_at_leftover(d, path);
    if (stat(path, &st) != 0) {
        if (errno == ENOENT)
            look_at_missing(d, path);
        else
            tell(denied(d), RECO_FINDING_ERROR, "permissions", "Let the user of the service into the folders above.", "%s cannot be looked at: %s.",
                 path, strerror(errno));
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        tell(d, RECO_FINDING_ERROR, "not_a_directory", "Name a directory.", "%s is not a directory.", path);
        return false;
    }
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0 && errno != EROFS)
        tell(denied(d), RECO_FINDING_ERROR, "permissions", "Give the directory to the user of the service (chown).", "User %ld may not write to %s.",
             (long)geteuid(), path);
    look_at_disk(d, path);
    return true;
}

/* --- a store from outside ------------------------------------------------------------------------------------------------------------------ */

static const char *const store_files[] = {"data.mdb", "lock.mdb", "reco.lock", "wake", "trust", "made"};

static void look_at_files(doctor *d, size_t store) {
    char folder[PATH_ROOM], path[PATH_ROOM + 32];
    struct stat above, st;
    snprintf(folder, sizeof folder, "%s/%s", d->directory[store], store_names[store]);
    if (stat(folder, &above) != 0)
        return;
    for (size_t i = 0; i < sizeof store_files / sizeof *store_files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, store_files[i]);
        if (stat(path, &st) != 0)
            continue;
        if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0 && errno != EROFS) {
            tell(denied(d), RECO_FINDING_ERROR, "permissions", "Give the files to the user of the service (chown -R).",
                 "User %ld may not write to %s.", (long)geteuid(), path);
            return;
        }
        if (st.st_uid != above.st_uid) {
            tell(d, RECO_FINDING_WARNING, "owner", "Give the files to one user (chown -R), the one all programs run as.",
                 "%s belongs to user %ld and its folder to user %ld: something was run as another user.", path, (long)st.st_uid, (long)above.st_uid);
            return;
        }
    }
}

static void holders_text(char *out, size_t room, const reco__kv_place *place) {
    size_t at = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < place->holder_count && at < room; i++) {
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/%d/comm", place->holders[i]);
        FILE *file = fopen(path, "re");
        if (file) {
            if (fgets(name, sizeof name, file))
                name[strcspn(name, "\n")] = 0;
            fclose(file);
        }
        int size = snprintf(out + at, room - at, "%s%d%s%s%s", i ? ", " : "", place->holders[i], name[0] ? " (" : "", name, name[0] ? ")" : "");
        at += size > 0 ? (size_t)size : 0;
    }
}

static void look_at_holders(doctor *d, size_t store) {
    const reco__kv_place *place = &d->places[store];
    char who[200];
    if (!place->held)
        return;
    d->held = true;
    holders_text(who, sizeof who, place);
    if (place->foreign)
        tell(d, RECO_FINDING_ERROR, "other_container",
             "Run all of them in one container, or give them one PID namespace (docker --pid, "
             "shareProcessNamespace).",
             "A process of another container has the %s open%s%s: others are refused until it ends.", store_names[store], who[0] ? ": " : "", who);
    else
        tell(d, RECO_FINDING_NOTE, "in_use", "", "The %s is open in %s%s.", store_names[store],
             who[0] ? "process " : "a process that cannot be seen from here", who);
}

static void look_at_map(doctor *d, size_t store) {
    const reco__kv_place *place = &d->places[store];
    char used[32], size[32], other[32];
    uint64_t map_size = d->settings->map_size;
    if (!place->map_size)
        return;
    if (place->used_bytes > map_size - map_size / 10)
        tell(d, place->used_bytes >= map_size ? RECO_FINDING_ERROR : RECO_FINDING_WARNING, "map_full",
             "Raise limits.map_size, for all processes alike.", "The %s takes %s of the %s that limits.map_size allows.", store_names[store],
             bytes_text(used, place->used_bytes), bytes_text(size, map_size));
    else if (place->held && place->map_size != (map_size + 65535) / 65536 * 65536)
        tell(d, RECO_FINDING_WARNING, "map_size", "Set it alike for all processes.",
             "limits.map_size is %s here, and %s where the %s was written last.", bytes_text(size, map_size), bytes_text(other, place->map_size),
             store_names[store]);
}

static void damaged(doctor *d, size_t store, reco_status status, const reco_error *err) {
    if (status == RECO_UNSUPPORTED && d->denied)
        return;
    if (status == RECO_NO_MEMORY)
        d->no_memory = true;
    else if (status != RECO_NEWER && status != RECO_REFUSED && status != RECO_CORRUPT)
        tell(d, RECO_FINDING_ERROR, "unreadable", "Look what the kernel says of the disk (dmesg), and who may read the files.",
             "The %s cannot be read: %s.", store_names[store], err->text);
    else if (status == RECO_NEWER)
        tell(d, RECO_FINDING_ERROR, "newer", "Use the libreco that wrote it, or a later one.", "The %s was written by a newer libreco: %s.",
             store_names[store], err->text);
    else if (status == RECO_REFUSED)
        tell(d, RECO_FINDING_ERROR, "another_program", "Correct the setting data.", "What lies where the %s should is something else: %s.",
             store_names[store], err->text);
    else if (store == FEATURES)
        tell(d, RECO_FINDING_ERROR, "damaged", "Move the folder features away: what was learned is learned again, from a snapshot or the stream.",
             "The features are damaged: %s.", err->text);
    else
        tell(d, RECO_FINDING_ERROR, "damaged", "Keep a copy of the directory, and restore a backup (reco restore).", "The %s is damaged: %s.",
             store_names[store], err->text);
}

static void look_at_store(doctor *d, size_t store) {
    reco__kv_place *place = &d->places[store];
    reco_error err = RECO_ERROR_INIT;
    reco_status status = reco__kv_place_look(place, d->directory[store], store_names[store], &err);
    if (status == RECO_REFUSED) {
        tell(d, RECO_FINDING_ERROR, "network_disk", "Move the directory to a disk of this machine.", "%s.", err.text);
        return;
    }
    d->no_memory = d->no_memory || status == RECO_NO_MEMORY;
    if (status != RECO_OK) {
        tell(denied(d), RECO_FINDING_ERROR, "permissions", "Let the user of the service read it.", "The %s cannot be looked at: %s.",
             store_names[store], err.text);
        return;
    }
    if (!place->exists)
        return;
    look_at_files(d, store);
    look_at_holders(d, store);
    if (store == FEATURES && place->has_data && !place->held && place->left == RECO__KV_OTHER_BOOT) {
        tell(d, RECO_FINDING_WARNING, "unclean",
             "Nothing is to be done: the next that opens it learns again, from the newest snapshot (snapshots.folder) or "
             "from the beginning of the stream.",
             "The machine was restarted while the features were open: they are discarded when they are opened next.");
        return;
    }
    status = reco__kv_place_check(d->directory[store], store_names[store], &err);
    if (status != RECO_OK) {
        damaged(d, store, status, &err);
        return;
    }
    look_at_map(d, store);
    reco__kv_options options = store == STREAM     ? reco__stream_lmdb_kv(d->directory[store], 0, d->settings->map_size, 0)
                               : store == FEATURES ? reco__features_lmdb_kv(d->directory[store], 0, d->settings->map_size, 0)
                                                   : reco__records_lmdb_kv(d->directory[store], 0, d->settings->map_size, 0);
    options.flags |= RECO__KV_READONLY | RECO__KV_LOOK;
    status = place->foreign || !place->has_data ? RECO_NOT_FOUND : reco__kv_open(&d->kv[store], &options, NULL, &err);
    if (status != RECO_OK && status != RECO_NOT_FOUND)
        damaged(d, store, status, &err);
}

/* --- what is in them ----------------------------------------------------------------------------------------------------------------------- */

static void look_at_readers(doctor *d, size_t store) {
    reco__kv_readers readers;
    reco_status status = d->kv[store] ? reco__kv_readers_look(&readers, d->kv[store], NULL) : RECO_NOT_FOUND;
    d->no_memory = d->no_memory || status == RECO_NO_MEMORY;
    if (status != RECO_OK)
        return;
    if (readers.stale)
        tell(d, RECO_FINDING_WARNING, "stale_readers", "Nothing is to be done when one writes: they are cleared within ten seconds.",
             "%u readers of the %s belong to processes that are gone; pages they read are not used again until somebody writes.", readers.stale,
             store_names[store]);
    if (readers.oldest_behind > BEHIND_TRANSACTIONS)
        tell(d, RECO_FINDING_WARNING, "old_reader",
             "Look what the process does: snapshots, verify and backups hold one and end; a stopped process does not.",
             "Process %d has been reading the %s since %llu transactions: the file grows until it ends.", readers.oldest_pid, store_names[store],
             (unsigned long long)readers.oldest_behind);
}

static void take_space(void *context, const char *space) {
    doctor *d = context;
    size_t at = strlen(d->others);
    d->spaces++;
    if (strcmp(space, d->settings->space) != 0)
        snprintf(d->others + at, sizeof d->others - at, "%s%s", at ? ", " : "", space);
}

/* Three hours, in words. */
static const char *time_text(char out[32], int64_t ms) {
    int64_t seconds = ms / 1000, days = seconds / 86400, hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;
    if (days)
        snprintf(out, 32, "%lld days %lld hours", (long long)days, (long long)hours);
    else if (hours)
        snprintf(out, 32, "%lld hours %lld minutes", (long long)hours, (long long)minutes);
    else
        snprintf(out, 32, "%lld minutes %lld seconds", (long long)minutes, (long long)(seconds % 60));
    return out;
}

/* Whoever has the stream open counts from the clock as it was. When nobody has, it only explains what else is found. */
static void look_at_clock(doctor *d) {
    const reco__kv_place *place = &d->places[STREAM];
    char by[32];
    bool forward = place->clock_jump > 0;
    if (llabs(place->clock_jump) <= d->settings->skew)
        return;
    tell(d, place->held ? RECO_FINDING_WARNING : RECO_FINDING_NOTE, "clock_jumped",
         !place->held ? "Look whether the clock is right (NTP)."
         : forward ? "Look whether the clock is right (NTP). If it is, restart the processes that have the directory open: they refuse events (503)."
                   : "Look whether the clock is right (NTP). If it is, nothing closes or expires until it is where it was.",
         "The clock of this machine was set %s by %s since the stream was written last%s.", forward ? "forward" : "back",
         time_text(by, llabs(place->clock_jump)), forward ? ", or the machine slept" : "");
}

static void look_at_times(doctor *d) {
    char newest[32], now_text[32];
    int64_t now = reco__now_ms(), max = 0;
    for (uint32_t p = 0; p < d->stream.partitions; p++)
        max = d->stream.parts[p].max > max ? d->stream.parts[p].max : max;
    if (max <= now + d->settings->skew)
        return;
    reco__time_format(max, newest);
    reco__time_format(now, now_text);
    tell(d, RECO_FINDING_ERROR, "clock", "Set the clock (NTP). If it is right now and was wrong when those events came, import into a new directory.",
         "The newest event of the stream was received at %s, and the clock of this machine says %s.", newest, now_text);
}

static void look_at_stream(doctor *d) {
    reco_error err = RECO_ERROR_INIT;
    look_at_clock(d);
    if (!d->kv[STREAM])
        return;
    reco_status status = reco__stream_lmdb_spaces(d->kv[STREAM], take_space, d, &err);
    if (status == RECO_OK)
        status = reco__stream_lmdb_look(&d->stream, d->kv[STREAM], d->settings->space, &err);
    if (status != RECO_OK && status != RECO_NOT_FOUND) {
        damaged(d, STREAM, status, &err);
        return;
    }
    d->known = status == RECO_OK;
    if (!d->known && d->others[0])
        tell(d, RECO_FINDING_WARNING, "no_namespace", "Correct the setting namespace, unless this is a new one.",
             "The stream has nothing of namespace %s; it has %s.", d->settings->space, d->others);
    else if (d->others[0])
        tell(d, RECO_FINDING_NOTE, "namespaces", "Settings and this report are of one namespace: look at each with --set namespace=NAME.",
             "The directory also holds %s.", d->others);
    if (!d->known)
        return;
    if (d->settings->partitions != d->stream.partitions)
        tell(d, RECO_FINDING_ERROR, "partitions", "Set partitions to what the stream has: it cannot be changed.",
             "The stream has %u partitions, and the settings say %u.", d->stream.partitions, d->settings->partitions);
    look_at_times(d);
}

static void look_at_lag(doctor *d, const reco_position *positions) {
    uint64_t lag = 0;
    int64_t behind = 0;
    for (uint32_t p = 0; p < d->stream.partitions; p++) {
        const struct part *part = &d->stream.parts[p];
        if (positions[p].offset < part->begin) {
            tell(d, RECO_FINDING_ERROR, "trimmed_away",
                 d->verified ? "A processor loads the newest snapshot that is whole by itself; start one."
                             : "Restore a backup, or move the folder features away to learn what is left.",
                 "Features have learned partition %u up to %lld, and the stream begins at %lld: what lies between is gone.", p,
                 (long long)positions[p].offset, (long long)part->begin);
            return;
        }
        if (positions[p].offset < part->next) {
            lag += (uint64_t)(part->next - positions[p].offset);
            behind = part->max - positions[p].clock > behind ? part->max - positions[p].clock : behind;
        }
    }
    if (lag && !d->held)
        tell(d, RECO_FINDING_WARNING, "not_learned", "Start a processor: reco serve, reco-processor, or an engine with background.",
             "%llu records are not learned, and nobody has the directory open.", (unsigned long long)lag);
    else if (lag && behind > LAG_MS)
        tell(d, RECO_FINDING_WARNING, "lag", "Look whether a processor runs, and what its log says; more processors share the partitions.",
             "%llu records are not learned yet, %lld s of them.", (unsigned long long)lag, (long long)(behind / 1000));
}

static void look_at_features(doctor *d) {
    reco_position positions[RECO_PARTITIONS_MAX];
    reco_error err = RECO_ERROR_INIT;
    reco__buf fingerprint = {0};
    bool trimmed = false;
    if (!d->known)
        return;
    reco__settings_fingerprint(&fingerprint, d->settings, d->stream.partitions);
    reco_features_options options = {.struct_size = sizeof options,
                                     .partitions = d->stream.partitions,
                                     .space = d->settings->space,
                                     .fingerprint = {fingerprint.data, fingerprint.size}};
    memcpy(options.stream_id, d->stream.id, sizeof options.stream_id);
    reco_status status = fingerprint.failed ? RECO_NO_MEMORY
                         : d->kv[FEATURES]  ? reco__features_lmdb_look(positions, d->kv[FEATURES], &options, &err)
                                            : RECO_NOT_FOUND;
    reco__buf_dispose(&fingerprint);
    for (uint32_t p = 0; p < d->stream.partitions; p++)
        trimmed = trimmed || d->stream.parts[p].begin > 0;
    if (trimmed && !d->verified)
        tell(d, status == RECO_NOT_FOUND ? RECO_FINDING_ERROR : RECO_FINDING_WARNING, "no_base",
             "Set snapshots.folder and let a processor take one, and keep backups.",
             "The stream has lost its beginning and there is no verified snapshot: features that are lost could not be learned again.");
    if (status == RECO_OK)
        look_at_lag(d, positions);
    else if (status == RECO_REFUSED && strcmp(err.field, "fingerprint") == 0)
        tell(d, RECO_FINDING_ERROR, "settings_differ",
             "Set it as it was, or learn the stream by the new settings beside what is there: reco replay --into.",
             "The settings do not fit the features: %s.", err.text);
    else if (status == RECO_REFUSED)
        tell(d, RECO_FINDING_ERROR, "another_stream", "Put back the stream they belong to, or move the folder features away.", "%s.", err.text);
    else if (status != RECO_NOT_FOUND)
        damaged(d, FEATURES, status, &err);
}

/* --- the folder of snapshots --------------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *ending) {
    size_t size = strlen(name), wanted = strlen(ending);
    return size > wanted && strcmp(name + size - wanted, ending) == 0;
}

/* One that could be learned from, unless it is damaged. */
static void look_at_snapshot(doctor *d, const char *folder, const char *name) {
    char path[PATH_ROOM + 32];
    reco_error err = RECO_ERROR_INIT;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (reco__frames_check(path, &err) == RECO_OK)
        d->verified++;
    else
        tell(d, RECO_FINDING_ERROR, "snapshot_damaged",
             "Remove it: nothing is trimmed to it, and nothing can be learned from it. A processor takes another. Look after the disk.",
             "The snapshot %s is damaged: %s.", path, err.text);
}

static void look_at_snapshots(doctor *d) {
    const char *path = d->settings->snapshots_folder;
    size_t space = strlen(d->settings->space);
    char parent[PATH_ROOM];
    struct stat st;
    if (!path[0])
        return;
    parent_of(parent, path);
    if (stat(path, &st) != 0 && errno == ENOENT && faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) == 0) {
        tell(d, RECO_FINDING_NOTE, "snapshots_missing", "It is made with the first snapshot.", "snapshots.folder, %s, does not exist yet.", path);
        return;
    }
    DIR *folder = opendir(path);
    if (!folder || faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) != 0)
        tell(d, RECO_FINDING_ERROR, "snapshots_folder", "Make it a folder that the processors' user may write to.",
             "No snapshots can be kept in snapshots.folder, %s: %s.", path, strerror(errno));
    for (const struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        if (strncmp(entry->d_name, d->settings->space, space) != 0 || entry->d_name[space] != '-')
            continue;
        if (ends_with(entry->d_name, ".snapshot"))
            look_at_snapshot(d, path, entry->d_name);
        d->different += ends_with(entry->d_name, ".differs");
    }
    if (folder)
        closedir(folder);
    if (d->different)
        tell(d, RECO_FINDING_ERROR, "snapshots_differ",
             "Run reco verify, keep those files, and tell us: what was learned was wrong, or the stream was changed.",
             "%u snapshots in %s were not what a replay of the stream gives.", d->different, path);
}

/* --- all of it ----------------------------------------------------------------------------------------------------------------------------- */

static void look_at_all(doctor *d) {
    reco_error err = RECO_ERROR_INIT;
    bool there[STORES] = {false};
    if (reco__settings_check(d->settings, &err) != RECO_OK)
        tell(d, RECO_FINDING_ERROR, "settings", "Correct the setting.", "%s: %s.", err.field, err.text);
    find_directories(d);
    look_at_snapshots(d);
    for (size_t i = 0; i < STORES; i++) {
        if (!d->directory[i][0])
            continue;
        for (size_t before = 0; before < i; before++)
            there[i] = there[i] || (there[before] && strcmp(d->directory[before], d->directory[i]) == 0);
        if (!seen_before(d, i))
            there[i] = look_at_directory(d, d->directory[i]);
        if (there[i])
            look_at_store(d, i);
        look_at_readers(d, i);
    }
    look_at_stream(d);
    look_at_features(d);
}

reco_status reco_doctor(uint32_t *worst, const reco_settings *settings, reco_finding_sink sink, void *context, const reco_call *call,
                        reco_error *err) {
    reco_status status = reco__call_check(call, err);
    if (status == RECO_OK && !settings)
        status = reco__fail(err, RECO_INVALID, "settings", "they are needed");
    if (status == RECO_OK && !sink)
        status = reco__fail(err, RECO_INVALID, "sink", "it is needed");
    if (status != RECO_OK)
        return status;
    doctor *d = reco__zalloc(sizeof *d);
    if (!d)
        return reco__no_memory(err);
    d->settings = &settings->values;
    d->call = call;
    d->sink = sink;
    d->context = context;
    look_at_all(d);
    for (size_t i = 0; i < STORES; i++)
        reco__kv_close(d->kv[i]);
    if (worst)
        *worst = d->worst;
    bool no_memory = d->no_memory;
    reco__release(d);
    return no_memory ? reco__no_memory(err) : RECO_OK;
}
