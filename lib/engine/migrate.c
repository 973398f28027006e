/* engine/migrate.c - the schemas behind the addresses of the settings. */
#include "base/module.h"
#include "engine/engine.h"

typedef struct telling {
    const char *setting;
    reco_migration_sink sink;
    void *context;
    bool undone; /* a dry run */
    uint32_t missing;
} telling;

static void tell(void *context, uint32_t version, const char *name, int32_t done) {
    telling *to = context;
    to->missing += !done || to->undone;
    if (to->sink)
        to->sink(to->context, to->setting, version, name, done);
}

static reco_status migrate_one(telling *to, const char *url, const char *space, uint32_t flags, const reco_call *call, reco_error *err) {
    reco_records_options options = {.struct_size = sizeof options, .url = url, .space = space};
    uint32_t version;
    return *url ? reco__records_migrate(&version, &options, flags, tell, to, call, err) : RECO_OK;
}

reco_status reco_migrate(uint32_t *missing, const reco_settings *settings, uint32_t flags, reco_migration_sink sink, void *context,
                         const reco_call *call, reco_error *err) {
    bool check = flags & RECO_MIGRATE_CHECK, dry = flags & RECO_MIGRATE_DRY_RUN;
    telling to = {"records", sink, context, dry, 0};
    if (!settings)
        return reco__fail(err, RECO_INVALID, "settings", "is NULL");
    if (flags & ~(RECO_MIGRATE_CHECK | RECO_MIGRATE_DRY_RUN))
        return reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", flags);
    const reco__settings *values = &settings->values;
    uint32_t how = check ? RECO_SCHEMA_CHECK : dry ? RECO_SCHEMA_DRY_RUN : 0;
    bool same = strcmp(values->records, values->archive) == 0;
    reco_status status = reco__module_folder(values->modules, err);
    if (status == RECO_OK)
        status = migrate_one(&to, values->records, values->space, how, call, err);
    to.setting = "archive";
    if (status == RECO_OK && !same)
        status = migrate_one(&to, values->archive, values->space, how, call, err);
    if (status == RECO_OK && missing)
        *missing = to.missing;
    return status;
}
