/* fuzz_snapshot.c - loading snapshots. The first byte of the input says whether the rest is a file as it is, or its frames (kind, two bytes of size,
 * payload), which get the right checksums and this stream's id. Whatever it is, it is loaded or refused in words; and the same store then loads the
 * snapshot it really has, to the same state. */
#include "engine/engine.h"
#include "engine/snapshot_file.h"
#include "fuzz.h"

static reco_engine *engine;
static reco__features *scratch;
static char *taken; /* a snapshot */
static size_t taken_size;

static void start(void) {
    static const char *const items[] = {"bread", "butter", "milk", "honey"};
    char path[] = "/tmp/reco-fuzz-XXXXXX";
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings;
    NEED(reco_settings_create(&settings, &err) == RECO_OK && reco_settings_set(settings, "limits.map_size", "1GiB", &err) == RECO_OK);
    reco_open_options options = {.struct_size = sizeof options, .data = "memory:", .settings = settings};
    NEED(reco_open(&engine, &options, NULL, &err) == RECO_OK);
    for (int i = 0; i < 24; i++) {
        char user[8];
        reco_event event = {.user_id = {user, (size_t)snprintf(user, sizeof user, "u%d", i % 5)}, .item_id = reco__str_of(items[i * i % 4])};
        event.event_type = reco__str_of(i % 7 == 0 ? "hide" : "view");
        NEED(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err) == RECO_OK);
    }
    NEED(reco_process(NULL, engine, NULL, &err) == RECO_OK && mkdtemp(path));
    char file_path[64];
    snprintf(file_path, sizeof file_path, "%s/s", path);
    NEED(reco_snapshot(NULL, engine, file_path, NULL, &err) == RECO_OK);
    FILE *file = fopen(file_path, "r");
    NEED(file && fseek(file, 0, SEEK_END) == 0);
    taken_size = (size_t)ftell(file);
    taken = malloc(taken_size);
    rewind(file);
    NEED(taken && fread(taken, 1, taken_size, file) == taken_size);
    fclose(file);
    remove(file_path);
    remove(path);
    NEED(reco__engine_open_features(&scratch, engine, "memory:", RECO_FEATURES_SCRATCH, NULL, &err) == RECO_OK);
    reco_settings_free(settings);
}

/* The file as frames without their checksums. */
static void take_apart(reco__buf *out) {
    FILE *file = fmemopen(taken, taken_size, "r");
    reco__buf payload = {0};
    uint8_t kind;
    NEED(file && reco__frames_open(file, NULL) == RECO_OK);
    while (reco__frame_read(&kind, file, &payload, NULL) == RECO_OK) {
        reco__buf_byte(out, kind);
        reco__buf_byte(out, (uint8_t)payload.size);
        reco__buf_byte(out, (uint8_t)(payload.size >> 8));
        reco__buf_add(out, payload.data, payload.size);
    }
    reco__buf_dispose(&payload);
    fclose(file);
}

static int seed(int i, reco__buf *out) {
    if (!engine)
        start();
    reco__buf_byte(out, (uint8_t)(i == 0));
    if (i == 0)
        take_apart(out);
    else
        reco__buf_add(out, taken, taken_size);
    return i < 2;
}

static void put_together(FILE *file, const uint8_t *data, size_t size) {
    reco__buf payload = {0};
    NEED(reco__frames_begin(file, NULL) == RECO_OK);
    for (bool first = true; size >= 3; first = false) {
        size_t length = (size_t)data[1] | (size_t)data[2] << 8;
        length = length < size - 3 ? length : size - 3;
        reco__buf_add(&payload, data + 3, length);
        if (first && length >= 16)
            memcpy(payload.data, reco__stream_id(engine->stream), 16);
        NEED(reco__frame_write(file, data[0], &payload, NULL) == RECO_OK);
        data += 3 + length;
        size -= 3 + length;
    }
    reco__buf_dispose(&payload);
}

static reco_status load(char *bytes, size_t size, reco_error *err) {
    FILE *file = fmemopen(bytes, size, "r");
    NEED(file);
    reco_status status = reco__snapshot_load_stream(scratch, engine, file, NULL, err);
    fclose(file);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned count;
    reco_error err = RECO_ERROR_INIT;
    char *bytes = NULL;
    size_t made = 0;
    if (size < 2)
        return 0;
    if (!engine)
        start();
    FILE *file = open_memstream(&bytes, &made);
    NEED(file);
    if (data[0] & 1)
        put_together(file, data + 1, size - 1);
    else
        fwrite(data + 1, 1, size - 1, file);
    NEED(fclose(file) == 0);
    reco_status status = load(bytes, made, &err);
    free(bytes);
    if (status != RECO_OK) {
        NEED(status == RECO_CORRUPT || status == RECO_NEWER || status == RECO_REFUSED || status == RECO_UNSUPPORTED || status == RECO_INVALID ||
             status == RECO_FULL || status == RECO_TOO_LARGE);
        NEED(err.text[0]);
        PLANT(strstr(err.text, "the state hash it states") != NULL);
    }
    if (count++ % 64 == 0)
        NEED(load(taken, taken_size, &err) == RECO_OK);
    return 0;
}
