/* base/module.h - finding, checking and starting modules; which doors register what is theirs. */
#ifndef RECO__BASE_MODULE_H
#define RECO__BASE_MODULE_H

#include "base/base.h"
#include <reco/plugin/module.h>

/* The module of a URL's scheme (the first `size` bytes), loaded and started; the same one each time. NOT_FOUND when there is no such file. SHARED. */
reco_status reco__module_find(const reco_module **out, const char *scheme, size_t size, reco_error *err);
/* One more folder to look in, after that of libreco; "" is none. INVALID naming modules when it is no absolute path, FULL beyond a handful. It stays
 * for the life of the process, as what is loaded from it does. SHARED. */
reco_status reco__module_folder(const char *path, reco_error *err);
/* Checks the table and starts the module with this library as its host. */
reco_status reco__module_begin(const reco_module *module, reco_error *err);

/* For modules: binds the copy of base within the module to its host, so that memory and log lines of both go the same ways. */
reco_status reco__module_bind(const reco_host *host, reco_error *err);

#endif
