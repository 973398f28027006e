/* base/module.c - modules are found beside the library they extend: that folder is asked of the loader. Those that others have made may lie in
 * folders of their own, which the settings name; what lies beside the library goes first, so that none of them can take its place. */
#include "base/module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define MODULES_MAX 16u
#define NAME_MAX_SIZE 32u
#define FOLDERS_MAX 8u
#define FOLDER_SIZE 1024u
#define PATH_SIZE 4096u

static struct {
    pthread_mutex_t mutex;
    const reco_module *list[MODULES_MAX];
    char names[MODULES_MAX][NAME_MAX_SIZE + 1];
    uint32_t count, folder_count;
    char folders[FOLDERS_MAX][FOLDER_SIZE]; /* not allocated: they outlive whatever allocator is installed */
} loaded = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- the host ----------------------------------------------------------------------------------------------------------------------------- */

static void *host_allocate(void *context, size_t size) {
    (void)context;
    return reco__alloc(size);
}

static void *host_resize(void *context, void *block, size_t size) {
    (void)context;
    return reco__realloc(block, size);
}

static void host_release(void *context, void *block) {
    (void)context;
    reco__release(block);
}

static void host_log(int level, const char *room, const char *message) { reco__log(level, room, "%s", message); }

reco_status reco__module_begin(const reco_module *module, reco_error *err) {
    static const reco_allocator allocator = {sizeof allocator, 0, NULL, host_allocate, host_resize, host_release, NULL}; /* counted here */
    static const reco_host host = {sizeof host, RECO_MODULE_CONTRACT, &allocator, host_log};
    if (!module || module->struct_size < sizeof *module)
        return reco__fail(err, RECO_INVALID, "struct_size", "the table of a module has at least %zu bytes", sizeof *module);
    if (module->contract != RECO_MODULE_CONTRACT)
        return reco__fail(err, RECO_INVALID, "contract", "module contract %u is wanted, the module has %u", RECO_MODULE_CONTRACT, module->contract);
    if (!module->name || !module->start)
        return reco__fail(err, RECO_INVALID, module->name ? "start" : "name", "the module lacks it");
    return module->start(&host, err);
}

/* --- in the module ------------------------------------------------------------------------------------------------------------------------ */

static void relay_log(void *context, int level, const char *room, const char *message) {
    const reco_host *host = context;
    host->log(level, room, message);
}

reco_status reco__module_bind(const reco_host *host, reco_error *err) {
    if (host->allocator->allocate == host_allocate)
        return RECO_OK; /* linked into the host: one copy of base */
    reco_status status = reco_set_allocator(host->allocator, err);
    if (status == RECO_OK) {
        union {
            const reco_host *in;
            void *out;
        } lent = {host};
        reco_set_log(relay_log, lent.out, RECO_LOG_DEBUG);
    }
    return status;
}

/* --- loading ------------------------------------------------------------------------------------------------------------------------------ */

static bool there_is(const char *path, int size) { return size > 0 && (size_t)size < PATH_SIZE && access(path, F_OK) == 0; }

/* libreco-NAME.so in the folder of the object that holds this function, or in one of the further folders. */
static bool module_path(char *path, const char *name) {
    Dl_info info;
    if (!dladdr((const void *)(uintptr_t)&reco__module_find, &info) || !info.dli_fname)
        return false;
    const char *slash = strrchr(info.dli_fname, '/');
    int folder = slash ? (int)(slash - info.dli_fname) : 1;
    if (there_is(path, snprintf(path, PATH_SIZE, "%.*s/libreco-%s.so", folder, slash ? info.dli_fname : ".", name)))
        return true;
    for (uint32_t i = 0; i < loaded.folder_count; i++)
        if (there_is(path, snprintf(path, PATH_SIZE, "%s/libreco-%s.so", loaded.folders[i], name)))
            return true;
    return false;
}

static reco_status folder_add(const char *path, reco_error *err) {
    for (uint32_t i = 0; i < loaded.folder_count; i++)
        if (strcmp(loaded.folders[i], path) == 0)
            return RECO_OK;
    if (loaded.folder_count == FOLDERS_MAX)
        return reco__fail(err, RECO_FULL, "modules", "%u folders of modules are known to this process, there is no room for more", FOLDERS_MAX);
    if (strlen(path) >= FOLDER_SIZE)
        return reco__fail(err, RECO_TOO_LARGE, "modules", "the path is longer than %u bytes", FOLDER_SIZE - 1);
    strcpy(loaded.folders[loaded.folder_count++], path);
    return RECO_OK;
}

reco_status reco__module_folder(const char *path, reco_error *err) {
    if (!path[0])
        return RECO_OK;
    if (path[0] != '/')
        return reco__fail(err, RECO_INVALID, "modules", "must be an absolute path, not \"%.100s\"", path);
    pthread_mutex_lock(&loaded.mutex);
    reco_status status = folder_add(path, err);
    pthread_mutex_unlock(&loaded.mutex);
    return status;
}

static reco_status load(const reco_module **out, const char *name, reco_error *err) {
    char path[PATH_SIZE];
    if (!module_path(path, name))
        return reco__fail(err, RECO_NOT_FOUND, "url", "there is no module libreco-%s.so beside libreco or where modules says", name);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        return reco__fail(err, RECO_UNSUPPORTED, "url", "module %s does not load: %s", name, why ? why : "unknown");
    }
    const reco_module *module = dlsym(handle, "reco_module_v1");
    if (!module) {
        dlclose(handle);
        return reco__fail(err, RECO_UNSUPPORTED, "url", "%s is no module of libreco: it lacks reco_module_v1", path);
    }
    reco_status status = reco__module_begin(module, err);
    if (status == RECO_OK)
        *out = module;
    return status;
}

static reco_status find_or_load(const reco_module **out, const char *name, reco_error *err) {
    for (uint32_t i = 0; i < loaded.count; i++) {
        if (strcmp(loaded.names[i], name) == 0) {
            *out = loaded.list[i];
            return RECO_OK;
        }
    }
    if (loaded.count == MODULES_MAX)
        return reco__fail(err, RECO_FULL, "url", "%u modules are loaded, there is no room for more", MODULES_MAX);
    reco_status status = load(out, name, err);
    if (status == RECO_OK) {
        strcpy(loaded.names[loaded.count], name);
        loaded.list[loaded.count++] = *out;
    }
    return status;
}

reco_status reco__module_find(const reco_module **out, const char *scheme, size_t size, reco_error *err) {
    char name[NAME_MAX_SIZE + 1];
    bool valid = size > 0 && size <= NAME_MAX_SIZE;
    for (size_t i = 0; valid && i < size; i++)
        valid = (scheme[i] >= 'a' && scheme[i] <= 'z') || (i > 0 && scheme[i] >= '0' && scheme[i] <= '9');
    if (!valid)
        return reco__fail(err, RECO_NOT_FOUND, "url", "no backend has this scheme");
    memcpy(name, scheme, size);
    name[size] = 0;
    if (strcmp(name, "postgresql") == 0)
        strcpy(name, "postgres"); /* both schemes are usual for it */
    pthread_mutex_lock(&loaded.mutex);
    reco_status status = find_or_load(out, name, err);
    pthread_mutex_unlock(&loaded.mutex);
    return status;
}
