/* conformance.c - reco-conformance: the suites of this folder as an installed program, for backends that others have made.
 *
 *     reco-conformance records 'textfile:%s' --module ./libreco-textfile.so
 *
 * It loads the module as libreco does, takes the table of the contract from it and runs every check on it, each in a process of its own: one that
 * crashes or hangs is a check that failed. Everything here, the suites included, is made of the public headers; the project's own tests run the same
 * code on its own backends. */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract/features_suite.h"
#include "contract/records_suite.h"
#include "contract/stream_suite.h"
#include "support/support.h"
#include <reco/plugin/module.h>

enum { PASSED = 0, FAILED = 1, USAGE = 2, URL_SIZE = 256 /* what the suites have room for */, PATH_SIZE = 1200, SECONDS_DEFAULT = 120 };

typedef struct request {
    const char *contract, *url, *file; /* file NULL: beside libreco */
    const char *only;                  /* one check; NULL: all */
    bool is_volatile, slow, list;
    unsigned seconds; /* for one check */
} request;

static const char usage[] = "reco-conformance - does a backend keep its contract?\n"
                            "\n"
                            "usage: reco-conformance [options] records|features|stream URL\n"
                            "\n"
                            "  URL                          address of an empty store; %s in it stands for a fresh folder for every check\n"
                            "      --module FILE            shared object of the backend (default: libreco-SCHEME.so beside libreco)\n"
                            "      --volatile               what is stored goes with the last close: nothing is opened again\n"
                            "      --slow                   a server is asked: fewer random operations\n"
                            "      --check NAME             one check only\n"
                            "      --list                   names of the checks; needs no URL\n"
                            "      --seconds N              how long one check may take (default 120; of features: one case)\n"
                            "\n"
                            "Every check is run in a process of its own. RECO_FULL=1 runs ten times the random operations of stream and features.\n"
                            "Exit codes: 0 all passed, 1 one failed, 2 it could not be tried.\n";

/* --- the module ------------------------------------------------------------------------------------------------------------------------------ */

static void *allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void *resize(void *context, void *block, size_t size) {
    (void)context;
    return realloc(block, size);
}

static void release(void *context, void *block) {
    (void)context;
    free(block);
}

static void log_line(int level, const char *room, const char *message) { fprintf(stderr, "log %d %s: %s\n", level, room, message); }

static int complain(const char *what, const char *about) {
    fprintf(stderr, "reco-conformance: %s: %s\n", about, what);
    return USAGE;
}

/* libreco-SCHEME.so in the folder of libreco. */
static bool beside_libreco(char path[PATH_SIZE], const char *url) {
    Dl_info info;
    union {
        const char *(*function)(void);
        void *address;
    } known = {reco_version};
    if (!dladdr(known.address, &info) || !info.dli_fname)
        return false;
    const char *slash = strrchr(info.dli_fname, '/');
    int size = snprintf(path, PATH_SIZE, "%.*s/libreco-%.*s.so", slash ? (int)(slash - info.dli_fname) : 1, slash ? info.dli_fname : ".",
                        (int)strcspn(url, ":"), url);
    return size > 0 && size < PATH_SIZE;
}

/* As libreco does it, with a host of our own. */
static int load(const reco_module **out, const request *r) {
    static const reco_allocator allocator = {sizeof allocator, 0, NULL, allocate, resize, release, NULL};
    static const reco_host host = {sizeof host, RECO_MODULE_CONTRACT, &allocator, log_line};
    char path[PATH_SIZE];
    reco_error err = RECO_ERROR_INIT;
    const char *file = r->file;
    if (!file && !beside_libreco(path, r->url))
        return complain("has no file", "the module");
    if (!file)
        file = path;
    else if (!strchr(file, '/')) { /* a name alone would be looked for elsewhere */
        snprintf(path, sizeof path, "./%s", file);
        file = path;
    }
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return complain(dlerror(), "the module does not load");
    const reco_module *module = dlsym(handle, "reco_module_v1");
    if (!module)
        return complain("it does not export reco_module_v1", file);
    if (module->struct_size < sizeof *module || module->contract != RECO_MODULE_CONTRACT || !module->name || !module->start)
        return complain("struct_size, contract, name or start of reco_module_v1 is not set, or of another version", file);
    if (module->start(&host, &err) != RECO_OK)
        return complain(err.text, "the module does not start");
    *out = module;
    return PASSED;
}

/* --- one check after the other --------------------------------------------------------------------------------------------------------------- */

typedef const char *(*check_body)(const request *r, const void *backend, const char *name, char *room, size_t size);

static const char *records_body(const request *r, const void *backend, const char *name, char *room, size_t size) {
    const records_subject subject = {backend, r->url, !r->is_volatile};
    return records_run(&subject, name, room, size);
}

static bool full(void) {
    const char *value = getenv("RECO_FULL");
    return value && *value == '1';
}

static const char *stream_body(const request *r, const void *backend, const char *name, char *room, size_t size) {
    char folder[256], url[URL_SIZE + sizeof folder];
    const char *hole = strstr(r->url, "%s");
    test_dir_make(folder);
    snprintf(url, sizeof url, "%.*s%s%s", hole ? (int)(hole - r->url) : URL_SIZE, r->url, hole ? folder : "", hole ? hole + 2 : "");
    const stream_subject subject = {backend, url, !r->is_volatile, UINT64_C(1) << 30, (r->slow ? 2000u : 20000u) * (full() ? 10u : 1u), 42};
    const char *wrong = stream_run(&subject, name, room, size);
    test_dir_remove(folder);
    return wrong;
}

/* Runs in a child, so that a crash is the check's and not ours; true when it passed. */
static bool apart(const request *r, const void *backend, const char *name, check_body body) {
    char room[400] = "";
    int how = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(r->seconds);
        const char *wrong = body(r, backend, name, room, sizeof room);
        if (wrong)
            printf("FAILED %s: %s\n", name, wrong);
        else
            printf("passed %s\n", name);
        fflush(stdout);
        _exit(wrong ? FAILED : PASSED);
    }
    if (child < 0 || waitpid(child, &how, 0) != child)
        printf("FAILED %s: there is no process to run it in\n", name);
    else if (WIFSIGNALED(how) && WTERMSIG(how) == SIGALRM)
        printf("FAILED %s: not over after %u seconds\n", name, r->seconds);
    else if (WIFSIGNALED(how))
        printf("FAILED %s: ended by signal %d, %s\n", name, WTERMSIG(how), strsignal(WTERMSIG(how)));
    return child > 0 && WIFEXITED(how) && WEXITSTATUS(how) == PASSED;
}

static int run_checks(const request *r, const void *backend, size_t count, const char *(*name_of)(size_t i), check_body body) {
    size_t passed = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (r->only && strcmp(r->only, name_of(i)) != 0)
            continue;
        bool fine = apart(r, backend, name_of(i), body);
        passed += fine;
        failed += !fine;
    }
    if (passed + failed == 0)
        return complain("there is no such check; --list tells them", r->only);
    printf("%s on %s: %zu passed, %zu failed\n", r->contract, r->url, passed, failed);
    return failed > 0 ? FAILED : PASSED;
}

/* The suite of features has cases of its own, apart from each other as well, and says itself which failed. */
static int run_features(const request *r, const void *backend) {
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%u", r->seconds);
    setenv("CK_DEFAULT_TIMEOUT", seconds, 0);
    if (r->only)
        setenv("CK_RUN_CASE", r->only, 1);
    return features_suite_run(backend, r->url, (r->is_volatile ? FEATURES_SUITE_VOLATILE : 0) | (r->slow ? FEATURES_SUITE_SLOW : 0)) == 0 ? PASSED
                                                                                                                                          : FAILED;
}

static int list(const request *r) {
    size_t records = strcmp(r->contract, "records") == 0 ? records_check_count : 0,
           stream = strcmp(r->contract, "stream") == 0 ? stream_check_count : 0;
    for (size_t i = 0; i < records; i++)
        puts(records_check_name(i));
    for (size_t i = 0; i < stream; i++)
        puts(stream_check_name(i));
    return records + stream > 0 ? PASSED : complain("its suite names its cases when they fail", r->contract);
}

static int run_suite(const request *r, const reco_module *module) {
    const bool records = strcmp(r->contract, "records") == 0, stream = strcmp(r->contract, "stream") == 0;
    const void *backend = records ? (const void *)module->records : stream ? (const void *)module->stream : (const void *)module->features;
    if (!backend)
        return complain("the module has no backend for it", r->contract);
    if (records)
        return run_checks(r, backend, records_check_count, records_check_name, records_body);
    return stream ? run_checks(r, backend, stream_check_count, stream_check_name, stream_body) : run_features(r, backend);
}

/* In a folder of its own, so that a check that was killed leaves nothing behind. */
static int run(const request *r) {
    const reco_module *module = NULL;
    char folder[256];
    int code = load(&module, r);
    if (code != PASSED)
        return code;
    test_dir_make(folder);
    setenv("TMPDIR", folder, 1);
    code = run_suite(r, module);
    test_dir_remove(folder);
    return code;
}

/* --- the command line ------------------------------------------------------------------------------------------------------------------------ */

/* An option with what follows it, when it wants a value; how many words that were, 0: it is none. */
static int option(request *r, char **words, int count) {
    if (strcmp(words[0], "--volatile") == 0)
        r->is_volatile = true;
    else if (strcmp(words[0], "--slow") == 0)
        r->slow = true;
    else if (strcmp(words[0], "--list") == 0)
        r->list = true;
    else if (count > 1 && strcmp(words[0], "--module") == 0)
        r->file = words[1];
    else if (count > 1 && strcmp(words[0], "--check") == 0)
        r->only = words[1];
    else if (count > 1 && strcmp(words[0], "--seconds") == 0)
        r->seconds = (unsigned)strtoul(words[1], NULL, 10);
    else
        return 0;
    return strcmp(words[0], "--volatile") == 0 || strcmp(words[0], "--slow") == 0 || strcmp(words[0], "--list") == 0 ? 1 : 2;
}

int main(int argc, char **argv) {
    request r = {.seconds = SECONDS_DEFAULT};
    for (int i = 1; i < argc;) {
        int taken = strncmp(argv[i], "--", 2) == 0 ? option(&r, argv + i, argc - i) : 1;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return PASSED;
        }
        if (taken == 0)
            return complain("unknown option, or it lacks its value; --help tells more", argv[i]);
        if (strncmp(argv[i], "--", 2) != 0) {
            if (r.url)
                return complain("one word too many; --help tells more", argv[i]);
            *(r.contract ? &r.url : &r.contract) = argv[i];
        }
        i += taken;
    }
    if (!r.contract || (!r.url && !r.list)) {
        fputs(usage, stderr);
        return USAGE;
    }
    if (strcmp(r.contract, "records") != 0 && strcmp(r.contract, "stream") != 0 && strcmp(r.contract, "features") != 0)
        return complain("is none of the contracts records, features and stream", r.contract);
    if (r.seconds == 0)
        return complain("must be a number above 0", "--seconds");
    if (r.list)
        return list(&r);
    if (!strchr(r.url, ':') || strlen(r.url) >= URL_SIZE)
        return complain("is no address, or longer than 255 bytes", r.url);
    return run(&r);
}
