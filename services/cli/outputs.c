#include "cli/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/options.h"

#define PATH_ROOM 4096u

/* The folder of a path, and what the path is called in it; false: too long. */
static bool split(char folder[PATH_ROOM], const char **name, const char *path) {
    const char *slash = strrchr(path, '/');
    size_t size = slash > path ? (size_t)(slash - path) : 1;
    *name = slash ? slash + 1 : path;
    if (size >= PATH_ROOM)
        return false;
    memcpy(folder, slash ? path : ".", size);
    folder[size] = 0;
    return true;
}

reco_status cli_output_check(const char *path, const char *option, reco_error *err) {
    char folder[PATH_ROOM];
    const char *name;
    struct stat about;
    if (strcmp(path, "-") == 0)
        return options_fail(err, RECO_INVALID, option, "must be a file: the result goes to stdout");
    bool there = stat(path, &about) == 0;
    if (there ? S_ISDIR(about.st_mode) : errno == ENOENT && !split(folder, &name, path))
        errno = there ? EISDIR : ENAMETOOLONG;
    else if (there ? access(path, W_OK) == 0 : errno == ENOENT && *path && access(folder, W_OK | X_OK) == 0)
        return RECO_OK;
    return options_fail(err, RECO_IO, option, "cannot write %.150s: %s", path, strerror(errno));
}

bool cli_output_same(const char *a, const char *b) {
    char folder_a[PATH_ROOM], folder_b[PATH_ROOM];
    const char *name_a, *name_b;
    struct stat about_a, about_b;
    bool there_a = stat(a, &about_a) == 0, there_b = stat(b, &about_b) == 0;
    if (there_a != there_b)
        return false;
    if (!there_a)
        return split(folder_a, &name_a, a) && split(folder_b, &name_b, b) && strcmp(name_a, name_b) == 0 && stat(folder_a, &about_a) == 0 &&
               stat(folder_b, &about_b) == 0 && about_a.st_dev == about_b.st_dev && about_a.st_ino == about_b.st_ino;
    return S_ISREG(about_a.st_mode) && about_a.st_dev == about_b.st_dev && about_a.st_ino == about_b.st_ino;
}
