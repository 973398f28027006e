/* textfile.c - a module for libreco: records kept in an append-only text file, one line a change, that people can read, grep and follow.
 *
 * Addresses are textfile:FOLDER; each namespace has a file of its own there, NAMESPACE.records:
 *
 *     put <tab> KIND <tab> ID <tab> DOCUMENT          one change; in ID and DOCUMENT a backslash is \\ and a control character \xNN
 *     delete <tab> KIND <tab> ID
 *     commit <tab> SEQUENCE <tab> CHECKSUM            ends the changes of one call; only then they count
 *
 * The changes of a call and their commit are appended by one write and synced before the call answers. At open the file is read from the beginning;
 * what stands after the last commit is of a call that was never acknowledged, and is cut off; damage before it is CORRUPT. The file itself is the log
 * of changes. In memory there are the records, sorted, and the newest RECO_RECORDS_LOG_MAX changes by what they changed.
 *
 * What it does not do: compact the file, and share it: one process has it open, others are BUSY. The setting limits.map_size bounds the file. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <reco/plugin/module.h>
#include <reco/plugin/records.h>

enum { PATH_SIZE = 1200, READ_SIZE = 1 << 16 };

/* Never changed once made: a change puts another one in its place. */
typedef struct record {
    uint64_t sequence;
    uint32_t kind;
    reco_str id, document; /* both behind the struct */
} record;

/* One change of a call that is not yet committed: what it replaced and what it made, for taking it back. */
typedef struct step {
    record *before, *after; /* NULL: was not there; is deleted */
    record *mark;           /* kind and id for the log */
} step;

typedef struct text {
    char *data;
    size_t size, room;
    int failed; /* out of memory */
} text;

struct reco_records_store {
    pthread_mutex_t mutex; /* over everything below; held while the file is synced: calls take turns */
    int file;
    int broken; /* the end of the file is not known any more: nothing is written until it is opened again */
    uint64_t size, size_max, min_free;
    record **records; /* sorted by kind, then id */
    size_t count, room;
    record **log; /* log[sequence % RECO_RECORDS_LOG_MAX] */
    uint64_t newest;
    char path[PATH_SIZE];
};

static const reco_host *host; /* lent by libreco at the start, for the life of the process */

/* --- memory, errors, text -------------------------------------------------------------------------------------------------------------------- */

static void *resize(void *block, size_t size) { return host->allocator->resize(host->allocator->context, block, size); }

static void release(void *block) {
    if (block)
        host->allocator->release(host->allocator->context, block);
}

/* Strings of an error are never empty, and it may be that nobody wants to know. */
static reco_status fail(reco_error *err, reco_status status, const char *field, const char *format, ...) {
    va_list list;
    if (err) {
        err->status = status;
        snprintf(err->field, sizeof err->field, "%s", field);
        va_start(list, format);
        vsnprintf(err->text, sizeof err->text, format, list);
        va_end(list);
    }
    return status;
}

static reco_status no_memory(reco_error *err) { return fail(err, RECO_NO_MEMORY, "", "out of memory"); }

static reco_status fail_io(reco_error *err, const char *what, const char *path) {
    reco_status status = errno == ENOSPC || errno == EDQUOT ? RECO_FULL : RECO_IO;
    return fail(err, status, "records", "%s %s: %s", what, path, strerror(errno));
}

/* Answers where `size` bytes may be written, NULL when there is no memory for them. */
static char *text_room(text *t, size_t size) {
    if (t->size + size > t->room) {
        size_t room = (t->size + size) * 2;
        char *data = t->failed ? NULL : resize(t->data, room);
        if (!data) {
            t->failed = 1;
            return NULL;
        }
        t->data = data;
        t->room = room;
    }
    return t->data + t->size;
}

static void text_add(text *t, const char *data, size_t size) {
    char *to = text_room(t, size);
    if (to) {
        memcpy(to, data, size);
        t->size += size;
    }
}

static void text_escaped(text *t, reco_str value) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < value.size && !t->failed; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        const char hex[] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        if (byte == '\\')
            text_add(t, "\\\\", 2);
        else if (byte < 0x20 || byte == 0x7f)
            text_add(t, hex, sizeof hex);
        else
            text_add(t, value.data + i, 1);
    }
}

/* FNV-1a, 64 bits: against torn and damaged writes, not against malice. */
static uint64_t checksum(const char *data, size_t size) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* --- records in order ------------------------------------------------------------------------------------------------------------------------ */

static record *record_make(uint32_t kind, reco_str id, reco_str document, uint64_t sequence) {
    record *made = resize(NULL, sizeof *made + id.size + document.size);
    if (!made)
        return NULL;
    char *bytes = (char *)(made + 1);
    memcpy(bytes, id.data, id.size);
    if (document.size > 0)
        memcpy(bytes + id.size, document.data, document.size);
    *made = (record){sequence, kind, {bytes, id.size}, {document.data ? bytes + id.size : NULL, document.size}};
    return made;
}

static int compare(const record *a, uint32_t kind, reco_str id) {
    if (a->kind != kind)
        return a->kind < kind ? -1 : 1;
    size_t least = a->id.size < id.size ? a->id.size : id.size;
    int order = least > 0 ? memcmp(a->id.data, id.data, least) : 0;
    return order != 0 ? order : a->id.size < id.size ? -1 : a->id.size > id.size;
}

/* Where a record is, or would be. */
static size_t place(int *there, const reco_records_store *store, uint32_t kind, reco_str id) {
    size_t low = 0, high = store->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(store->records[middle], kind, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *there = low < store->count && compare(store->records[low], kind, id) == 0;
    return low;
}

static record *find(const reco_records_store *store, uint32_t kind, reco_str id) {
    int there;
    size_t at = place(&there, store, kind, id);
    return there ? store->records[at] : NULL;
}

/* Puts `now` where the record of that kind and id is or would be; NULL takes it out. There is room. */
static void set(reco_records_store *store, uint32_t kind, reco_str id, record *now) {
    int there;
    size_t at = place(&there, store, kind, id);
    record **slot = store->records + at;
    if (there && !now)
        memmove(slot, slot + 1, (--store->count - at) * sizeof *slot);
    if (!there && now)
        memmove(slot + 1, slot, (store->count++ - at) * sizeof *slot);
    if (now)
        *slot = now;
}

static int make_room(reco_records_store *store, size_t more) {
    if (store->count + more <= store->room)
        return 1;
    size_t room = (store->count + more) * 2;
    record **records = resize(store->records, room * sizeof *records);
    if (!records)
        return 0;
    store->records = records;
    store->room = room;
    return 1;
}

/* --- a call's changes ------------------------------------------------------------------------------------------------------------------------ */

/* Makes a change in memory and writes its line; *made: it found something to do. */
static reco_status take_step(step *out, int *made, reco_records_store *store, const reco_record_change *change, uint64_t sequence, text *lines,
                             reco_error *err) {
    static const reco_str none = {NULL, 0};
    record *before = find(store, change->kind, change->id);
    char head[32];
    *made = change->document.data ? !(before && change->flags == RECO_RECORD_IF_ABSENT) : before != NULL;
    if (!*made)
        return RECO_OK;
    out->before = before;
    out->after = change->document.data ? record_make(change->kind, change->id, change->document, sequence) : NULL;
    out->mark = record_make(change->kind, change->id, none, sequence);
    text_add(lines, head, (size_t)snprintf(head, sizeof head, "%s\t%u\t", change->document.data ? "put" : "delete", (unsigned)change->kind));
    text_escaped(lines, change->id);
    if (change->document.data) {
        text_add(lines, "\t", 1);
        text_escaped(lines, change->document);
    }
    text_add(lines, "\n", 1);
    if (lines->failed || !out->mark || (change->document.data && !out->after)) {
        release(out->mark);
        release(out->after);
        return no_memory(err);
    }
    set(store, change->kind, change->id, out->after);
    return RECO_OK;
}

static void take_back(reco_records_store *store, const step *steps, size_t count) {
    while (count-- > 0) { /* the newest first */
        set(store, steps[count].mark->kind, steps[count].mark->id, steps[count].before);
        release(steps[count].after);
        release(steps[count].mark);
    }
}

static void keep(reco_records_store *store, const step *steps, size_t count) {
    for (size_t i = 0; i < count; i++) {
        record **slot = &store->log[++store->newest % RECO_RECORDS_LOG_MAX];
        release(*slot);
        *slot = steps[i].mark;
        release(steps[i].before);
    }
}

/* Appends and syncs. A part that was written is cut off again; where that fails too, the store is of no use until it is opened again. */
static reco_status append(reco_records_store *store, const text *lines, reco_error *err) {
    struct statvfs disk;
    if (store->broken)
        return fail(err, RECO_IO, "records", "%s could not be written to and must be opened again", store->path);
    if (lines->size > store->size_max || store->size > store->size_max - lines->size)
        return fail(err, RECO_FULL, "limits.map_size", "%s would grow beyond %llu bytes", store->path, (unsigned long long)store->size_max);
    if (store->min_free > 0 && fstatvfs(store->file, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < store->min_free + lines->size)
        return fail(err, RECO_FULL, "limits.min_free", "the disk of %s is full", store->path);
    size_t done = 0;
    while (done < lines->size) {
        ssize_t size = pwrite(store->file, lines->data + done, lines->size - done, (off_t)(store->size + done));
        if (size < 0 && errno != EINTR)
            break;
        done += size > 0 ? (size_t)size : 0;
    }
    if (done < lines->size || fdatasync(store->file) != 0) {
        reco_status status = fail_io(err, "cannot write to", store->path);
        store->broken = ftruncate(store->file, (off_t)store->size) != 0;
        return status;
    }
    store->size += lines->size;
    return RECO_OK;
}

static reco_status change_all(step *steps, size_t *taken, text *lines, reco_records_store *store, const reco_record_change *changes, size_t count,
                              reco_error *err) {
    reco_status status = RECO_OK;
    char end[64];
    for (size_t i = 0; i < count; i++) { /* compared with what the call found, before anything of it is done */
        const record *now = find(store, changes[i].kind, changes[i].id);
        if (changes[i].flags == RECO_RECORD_IF_SEQUENCE && changes[i].sequence != (now ? now->sequence : 0))
            return fail(err, RECO_CONFLICT, "sequence", "a record was changed since it was read");
    }
    if (!make_room(store, count))
        return no_memory(err);
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        int made = 0;
        status = take_step(&steps[*taken], &made, store, &changes[i], store->newest + *taken + 1, lines, err);
        *taken += status == RECO_OK && made;
    }
    if (status != RECO_OK || *taken == 0)
        return status;
    text_add(lines, end,
             (size_t)snprintf(end, sizeof end, "commit\t%llu\t%016llx\n", (unsigned long long)(store->newest + *taken),
                              (unsigned long long)checksum(lines->data, lines->size)));
    return lines->failed ? no_memory(err) : append(store, lines, err);
}

static reco_status store_change(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                                reco_error *err) {
    text lines = {NULL, 0, 0, 0};
    size_t taken = 0;
    step *steps = resize(NULL, (count + 1) * sizeof *steps);
    (void)call;
    if (!steps)
        return no_memory(err);
    pthread_mutex_lock(&store->mutex);
    reco_status status = change_all(steps, &taken, &lines, store, changes, count, err);
    if (status == RECO_OK)
        keep(store, steps, taken);
    else
        take_back(store, steps, taken);
    *last = store->newest;
    pthread_mutex_unlock(&store->mutex);
    release(steps);
    release(lines.data);
    return status;
}

/* --- reading the file ------------------------------------------------------------------------------------------------------------------------ */

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* Takes escapes back, in place; 0 when there is one that is none. */
static int unescape(char *data, size_t *size) {
    size_t to = 0;
    for (size_t i = 0; i < *size; i++) {
        char c = data[i];
        if (c == '\\' && i + 1 < *size && data[i + 1] == '\\')
            i++;
        else if (c == '\\') {
            if (i + 3 >= *size || data[i + 1] != 'x' || digit(data[i + 2]) < 0 || digit(data[i + 3]) < 0)
                return 0;
            c = (char)(digit(data[i + 2]) * 16 + digit(data[i + 3]));
            i += 3;
        }
        data[to++] = c;
    }
    *size = to;
    return 1;
}

/* "put\tKIND\tID\tDOCUMENT" or "delete\tKIND\tID" as a change; the line is rewritten. */
static int parse_line(reco_record_change *out, char *line, size_t size) {
    char *end = line + size, *kind = memchr(line, '\t', size), *id, *document;
    int put = size > 4 && memcmp(line, "put\t", 4) == 0, removes = size > 7 && memcmp(line, "delete\t", 7) == 0;
    if ((!put && !removes) || kind + 2 >= end || kind[1] < '1' || kind[1] > '0' + (char)RECO_RECORD_KEY || kind[2] != '\t')
        return 0;
    id = kind + 3;
    document = memchr(id, '\t', (size_t)(end - id));
    if (put != (document != NULL))
        return 0;
    size_t id_size = (size_t)((document ? document : end) - id), document_size = document ? (size_t)(end - document) - 1 : 0;
    if (!unescape(id, &id_size) || (document && !unescape(document + 1, &document_size)) || id_size < 1)
        return 0;
    *out = (reco_record_change){.kind = (uint32_t)(kind[1] - '0'), .id = {id, id_size}};
    if (document)
        out->document = (reco_str){document + 1, document_size};
    return 1;
}

/* The changes of one call, from `text` up to its commit line. They were made once, so each finds something to do. */
static reco_status replay(reco_records_store *store, char *data, size_t size, uint64_t newest, reco_error *err) {
    text unused = {NULL, 0, 0, 0};
    reco_status status = RECO_OK;
    for (char *line = data; line < data + size && status == RECO_OK;) {
        char *end = memchr(line, '\n', (size_t)(data + size - line));
        reco_record_change change;
        step one;
        int made = 0;
        char *next = end + 1; /* every line of a call ends: the commit line follows */
        if (!parse_line(&change, line, (size_t)(end - line)))
            return fail(err, RECO_CORRUPT, "records", "%s has a line that is no change", store->path);
        status = make_room(store, 1) ? take_step(&one, &made, store, &change, store->newest + 1, &unused, err) : no_memory(err);
        if (status == RECO_OK && made)
            keep(store, &one, 1);
        unused.size = 0;
        line = next;
    }
    release(unused.data);
    if (status == RECO_OK && store->newest != newest)
        return fail(err, RECO_CORRUPT, "records", "%s lacks changes before number %llu", store->path, (unsigned long long)newest);
    return status;
}

/* Reads "commit\tN\tSUM" and compares the sum. */
static int commit_fits(uint64_t *newest, const char *line, size_t size, const char *data, size_t data_size) {
    unsigned long long number, sum;
    char copy[64];
    if (size >= sizeof copy)
        return 0;
    memcpy(copy, line, size);
    copy[size] = '\0';
    if (sscanf(copy, "commit\t%llu\t%llx", &number, &sum) != 2 || sum != checksum(data, data_size))
        return 0;
    *newest = number;
    return 1;
}

/* Goes through the whole text; store->size is where the last commit that counts ends. */
static reco_status read_calls(reco_records_store *store, char *data, size_t size, reco_error *err) {
    char *begin = data, *line = data, *const end = data + size;
    for (char *stop; line < end && (stop = memchr(line, '\n', (size_t)(end - line))) != NULL; line = stop + 1) {
        uint64_t newest;
        if ((size_t)(stop - line) < 7 || memcmp(line, "commit\t", 7) != 0)
            continue;
        if (!commit_fits(&newest, line, (size_t)(stop - line), begin, (size_t)(line - begin))) {
            if (stop + 1 == end)
                break; /* the last call of all, torn by a crash */
            return fail(err, RECO_CORRUPT, "records", "%s is damaged before byte %zu", store->path, (size_t)(stop - data));
        }
        reco_status status = replay(store, begin, (size_t)(line - begin), newest, err);
        if (status != RECO_OK)
            return status;
        begin = stop + 1;
        store->size = (uint64_t)(begin - data);
    }
    return RECO_OK;
}

static reco_status read_file(reco_records_store *store, reco_error *err) {
    text all = {NULL, 0, 0, 0};
    ssize_t size = 1;
    while (size > 0) {
        char *to = text_room(&all, READ_SIZE);
        if (!to)
            break;
        do
            size = read(store->file, to, READ_SIZE);
        while (size < 0 && errno == EINTR);
        all.size += size > 0 ? (size_t)size : 0;
    }
    reco_status status = all.failed ? no_memory(err)
                         : size < 0 ? fail_io(err, "cannot read", store->path)
                                    : read_calls(store, all.data, all.size, err);
    if (status == RECO_OK && store->size < all.size && ftruncate(store->file, (off_t)store->size) != 0)
        status = fail_io(err, "cannot cut off what was not acknowledged in", store->path);
    release(all.data);
    return status;
}

/* --- open and close -------------------------------------------------------------------------------------------------------------------------- */

static void store_close(reco_records_store *store) {
    for (size_t i = 0; i < store->count; i++)
        release(store->records[i]);
    for (size_t i = 0; store->log && i < RECO_RECORDS_LOG_MAX; i++)
        release(store->log[i]);
    if (store->file >= 0)
        close(store->file); /* and its lock with it */
    pthread_mutex_destroy(&store->mutex);
    release(store->records);
    release(store->log);
    release(store);
}

static reco_status open_file(reco_records_store *store, const reco_records_options *options, reco_error *err) {
    const char *folder = strchr(options->url, ':') + 1; /* libreco has seen the scheme */
    if (!*folder)
        return fail(err, RECO_INVALID, "records", "textfile: needs a folder");
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return fail_io(err, "cannot make the folder", folder);
    int size = snprintf(store->path, sizeof store->path, "%s/%s.records", folder, options->space);
    if (size < 0 || (size_t)size >= sizeof store->path)
        return fail(err, RECO_TOO_LARGE, "records", "the path of the folder is too long");
    store->file = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->file < 0)
        return fail_io(err, "cannot open", store->path);
    if (flock(store->file, LOCK_EX | LOCK_NB) != 0)
        return fail(err, RECO_BUSY, "records", "%s is open elsewhere", store->path);
    return read_file(store, err);
}

static reco_status store_open(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    const size_t log_size = RECO_RECORDS_LOG_MAX * sizeof(record *);
    reco_records_store *store = resize(NULL, sizeof *store);
    (void)call;
    if (!store)
        return no_memory(err);
    memset(store, 0, sizeof *store);
    pthread_mutex_init(&store->mutex, NULL);
    store->file = -1;
    store->size_max = options->map_size ? options->map_size : UINT64_MAX;
    store->min_free = options->min_free;
    store->log = resize(NULL, log_size);
    if (store->log)
        memset(store->log, 0, log_size);
    reco_status status = store->log ? open_file(store, options, err) : no_memory(err);
    if (status == RECO_OK)
        *out = store;
    else
        store_close(store);
    return status;
}

/* --- reading records ------------------------------------------------------------------------------------------------------------------------- */

static int tell(const record *it, reco_records_sink sink, void *context) { return sink(context, it->sequence, it->kind, it->id, it->document); }

static reco_status store_find(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                              reco_error *err) {
    (void)call;
    pthread_mutex_lock(&store->mutex);
    const record *it = find(store, kind, id);
    if (it)
        tell(it, sink, context);
    pthread_mutex_unlock(&store->mutex);
    return it ? RECO_OK : fail(err, RECO_NOT_FOUND, "", "there is no such record");
}

static reco_status store_scan(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                              const reco_call *call, reco_error *err) {
    int there = 0, stop = 0;
    (void)call, (void)err;
    pthread_mutex_lock(&store->mutex);
    size_t at = place(&there, store, kind, after);
    for (at += (size_t)there; at < store->count && store->records[at]->kind == kind && limit > 0 && !stop; at++, limit--)
        stop = tell(store->records[at], sink, context);
    pthread_mutex_unlock(&store->mutex);
    return RECO_OK;
}

/* The log has everything newer than `since` when the oldest it keeps is no newer than the one after it. Keys are secrets. */
static reco_status store_changes(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                 const reco_call *call, reco_error *err) {
    int stop = 0;
    (void)call;
    pthread_mutex_lock(&store->mutex);
    *newest = store->newest;
    int reaches = since <= store->newest && store->newest - since <= RECO_RECORDS_LOG_MAX;
    for (uint64_t at = since + 1; reaches && at <= store->newest && limit > 0 && !stop; at++) {
        const record *mark = store->log[at % RECO_RECORDS_LOG_MAX];
        if (mark->kind == RECO_RECORD_KEY)
            continue;
        const record *now = find(store, mark->kind, mark->id);
        stop = sink(context, at, mark->kind, mark->id, now ? now->document : (reco_str){NULL, 0});
        limit--;
    }
    pthread_mutex_unlock(&store->mutex);
    return reaches ? RECO_OK : fail(err, RECO_NOT_FOUND, "since", "the log of changes does not reach there");
}

static reco_status store_stats(reco_records_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                               const reco_call *call, reco_error *err) {
    (void)call, (void)err;
    pthread_mutex_lock(&store->mutex);
    uint64_t records = store->count, bytes = store->size;
    pthread_mutex_unlock(&store->mutex);
    sink(context, "documents", records);
    sink(context, "bytes", bytes);
    return RECO_OK;
}

/* --- the module ------------------------------------------------------------------------------------------------------------------------------ */

static const reco_records_backend backend = {.struct_size = sizeof backend,
                                             .contract = RECO_RECORDS_CONTRACT,
                                             .scheme = "textfile",
                                             .open = store_open,
                                             .close = store_close,
                                             .change = store_change,
                                             .find = store_find,
                                             .scan = store_scan,
                                             .changes = store_changes,
                                             .stats = store_stats};

static reco_status start(const reco_host *lent, reco_error *err) {
    (void)err;
    host = lent;
    return RECO_OK;
}

extern RECO_API const reco_module reco_module_v1; /* the one symbol that is exported */
const reco_module reco_module_v1 = {
    .struct_size = sizeof reco_module_v1, .contract = RECO_MODULE_CONTRACT, .name = "textfile", .version = "1", .start = start, .records = &backend};
