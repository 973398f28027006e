/* reco/plugin/module.h - modules: backends in shared objects of their own, loaded when a URL asks for them.
 *
 * A module is a file libreco-NAME.so in the folder of libreco itself, or in the one that the setting `modules` names. It exports one symbol,
 * reco_module_v1, of the type below. It is loaded once, when the first store is opened whose URL has the scheme NAME and no backend of that scheme is
 * registered, and never unloaded. NAME is up to 32 of the characters a-z 0-9, the first one a letter. Programs that link everything statically call
 * reco_module_start instead. Whether a backend keeps its contract the program reco-conformance shows, which is installed with libreco. */
#ifndef RECO_PLUGIN_MODULE_H
#define RECO_PLUGIN_MODULE_H

#include <reco/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_MODULE_CONTRACT 1u

struct reco_stream_backend;
struct reco_features_backend;
struct reco_records_backend;

/* What libreco lends a module for the life of the process. SHARED. */
typedef struct reco_host {
    uint32_t struct_size;
    uint32_t contract;               /* RECO_MODULE_CONTRACT */
    const reco_allocator *allocator; /* goes to whatever allocator the application has installed */
    void (*log)(int level, const char *room, const char *message);
} reco_host;

/* FROZEN. */
typedef struct reco_module {
    uint32_t struct_size;
    uint32_t contract;   /* RECO_MODULE_CONTRACT */
    const char *name;    /* as in the file name */
    const char *version; /* of the module */
    /* Called once, before any other function. The host outlives the module. */
    reco_status (*start)(const reco_host *host, reco_error *err);
    const struct reco_stream_backend *stream; /* NULL: none; likewise below */
    const struct reco_features_backend *features;
    const struct reco_records_backend *records;
} reco_module;

/* Starts a module that is linked in and registers its backends. CONFLICT when a scheme is taken. SHARED. */
RECO_API reco_status reco_module_start(const reco_module *module, reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
