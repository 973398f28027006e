/* console/reports.c - what `reco evaluate` left in a folder: *.json for the console to draw, *.html for people to open.
 *
 * A name is letters, digits, '.', '_' and '-', and begins with none of the signs, so that it cannot lead elsewhere; it is opened below the folder,
 * no link is followed, and it must be a plain file of at most REPORT_MAX bytes. A page among them is somebody else's: it is served in a sandbox. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console/console.h"
#include "http/text.h"

#define REPORT_MAX (4u << 20)
#define LISTED_MAX 200u
#define NAME_ROOM 129u

typedef struct report {
    char name[NAME_ROOM];
    long long size, modified;
} report;

/* The newest LISTED_MAX, the newest first. */
typedef struct listing {
    report reports[LISTED_MAX];
    size_t count;
    bool more;
} listing;

static bool ends_in(const char *name, const char *end) {
    size_t size = strlen(name), length = strlen(end);
    return size > length && strcmp(name + size - length, end) == 0;
}

static bool is_page(const char *name) { return ends_in(name, ".html"); }

static bool is_name(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", signs[] = "._-";
    size_t size = strlen(name);
    if (size == 0 || size >= NAME_ROOM || strchr(signs, name[0]))
        return false;
    for (size_t i = 0; i < size; i++)
        if (!strchr(letters, name[i]) && !strchr(signs, name[i]))
            return false;
    return is_page(name) || ends_in(name, ".json");
}

static bool is_readable(const struct stat *about) { return S_ISREG(about->st_mode) && about->st_size <= (off_t)REPORT_MAX; }

static void insert(listing *list, const report *one) {
    size_t at = list->count;
    list->more = list->more || list->count == LISTED_MAX;
    while (at > 0 && list->reports[at - 1].modified < one->modified)
        at--;
    if (at == LISTED_MAX)
        return;
    size_t behind = (list->count == LISTED_MAX ? LISTED_MAX - 1 : list->count) - at;
    memmove(&list->reports[at + 1], &list->reports[at], behind * sizeof *one);
    list->reports[at] = *one;
    list->count += list->count < LISTED_MAX;
}

/* false with errno: the folder cannot be read. */
static bool read_folder(listing *list, const char *path) {
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct stat about;
        report one = {.size = 0};
        if (!is_name(entry->d_name) || fstatat(dirfd(folder), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !is_readable(&about))
            continue;
        memcpy(one.name, entry->d_name, strlen(entry->d_name));
        one.size = about.st_size;
        one.modified = about.st_mtime;
        insert(list, &one);
    }
    closedir(folder);
    return true;
}

static void write_listing(http_text *out, const listing *list) {
    http_text_printf(out, "{\"reports\":[");
    for (size_t i = 0; i < list->count; i++) {
        const report *one = &list->reports[i];
        char when[32];
        http_text_printf(out, "%s{\"name\":\"%s\",\"size\":%lld,\"modified\":\"%s\"}", i ? "," : "", one->name, one->size,
                         http_text_date(when, (int64_t)one->modified * 1000, HTTP_TEXT_SECONDS));
    }
    http_text_printf(out, "],\"more\":%s}\n", list->more ? "true" : "false");
}

static void send_listing(http_request *request, listing *list, const char *path) {
    http_text out = {0};
    if (*path && !read_folder(list, path)) {
        http_send_problem(request, 500, NULL, "services.reports cannot be read: %s", strerror(errno));
        return;
    }
    write_listing(&out, list);
    if (out.failed)
        http_send_problem(request, 503, NULL, "out of memory");
    else
        http_send(request, 200, HTTP_JSON, out.data, out.size, HTTP_PAGE | HTTP_PERSONAL);
    http_text_dispose(&out);
}

void console_send_reports(http_request *request, void *context) {
    const console *self = context;
    if (!http_params(request, NULL, 0))
        return;
    listing *list = calloc(1, sizeof *list);
    if (list)
        send_listing(request, list, self->reports);
    else
        http_send_problem(request, 503, NULL, "out of memory");
    free(list);
}

/* Opens a plain file of the folder; -1: there is none. */
static int open_report(const char *path, const char *name, size_t *size) {
    struct stat about;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int file = folder < 0 ? -1 : openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (folder >= 0)
        close(folder);
    if (file >= 0 && fstat(file, &about) == 0 && is_readable(&about)) {
        *size = (size_t)about.st_size;
        return file;
    }
    if (file >= 0)
        close(file);
    return -1;
}

/* What is there of `size` bytes: the file may be written at this moment. */
static bool read_whole(int file, char *out, size_t *size) {
    size_t got = 0;
    while (got < *size) {
        ssize_t part = read(file, out + got, *size - got);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return false;
        if (part == 0)
            break;
        got += (size_t)part;
    }
    *size = got;
    return true;
}

void console_send_report(http_request *request, void *context) {
    const console *self = context;
    reco_str name;
    size_t size = 0;
    if (!console_name(request, "report", &name))
        return;
    int file = *self->reports && is_name(name.data) ? open_report(self->reports, name.data, &size) : -1;
    if (file < 0) {
        http_send_problem(request, 404, "report", "there is no such report");
        return;
    }
    char *text = malloc(size + 1);
    if (!text)
        http_send_problem(request, 503, NULL, "out of memory");
    else if (!read_whole(file, text, &size))
        http_send_problem(request, 500, "report", "cannot be read: %s", strerror(errno));
    else if (is_page(name.data))
        http_send(request, 200, "text/html; charset=utf-8", text, size, HTTP_SANDBOX | HTTP_PERSONAL);
    else
        http_send(request, 200, HTTP_JSON, text, size, HTTP_PAGE | HTTP_PERSONAL);
    free(text);
    close(file);
}
