/* http/process.c - what Prometheus calls process metrics, read from /proc when asked. What cannot be read is left out. */
#include "http/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Fields of /proc/self/stat after the command, whose name may hold anything. */
typedef struct stat_fields {
    unsigned long long user, system, start;
    long long threads;
    unsigned long long virtual_bytes;
    long long resident_pages;
} stat_fields;

static bool read_stat(stat_fields *out) {
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return false;
    char text[2048];
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    const char *after = strrchr(text, ')');
    if (!after)
        return false;
    return sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %lld %*d %llu %llu %lld", &out->user,
                  &out->system, &out->threads, &out->start, &out->virtual_bytes, &out->resident_pages) == 6;
}

/* Seconds since 1970 at which the machine started; 0 when unknown. */
static double boot_time(void) {
    struct timespec now, up;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0)
        return 0;
    return (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9;
}

static uint64_t open_files(void) {
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    uint64_t count = 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count > 0 ? count - 1 : 0; /* without the one that looks */
}

static void build_info(http_families *families) {
    char labels[120];
    snprintf(labels, sizeof labels, "version=\"%s\"", reco_version());
    http_families_sink(families, "reco_build_info", labels, 1, "gauge", "The version that runs, always 1.");
    http_families_sink(families, "reco_process_id", "", (double)getpid(), "gauge",
                       "The process, by its number: services that have the same one are one.");
}

void http_process_metrics(http_families *families) {
    double ticks = (double)sysconf(_SC_CLK_TCK);
    stat_fields stat;
    struct rlimit limit;
    build_info(families);
    http_families_sink(families, "process_open_fds", "", (double)open_files(), "gauge", "Open file descriptors.");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        http_families_sink(families, "process_max_fds", "", (double)limit.rlim_cur, "gauge", "Most file descriptors allowed.");
    if (!read_stat(&stat))
        return;
    http_families_sink(families, "process_cpu_seconds_total", "", (double)(stat.user + stat.system) / ticks, "counter",
                       "CPU time spent, user and system.");
    http_families_sink(families, "process_resident_memory_bytes", "", (double)stat.resident_pages * (double)sysconf(_SC_PAGESIZE), "gauge",
                       "Resident memory, mapped files included.");
    http_families_sink(families, "process_virtual_memory_bytes", "", (double)stat.virtual_bytes, "gauge", "Address space.");
    http_families_sink(families, "process_threads", "", (double)stat.threads, "gauge", "Threads.");
    http_families_sink(families, "process_start_time_seconds", "", boot_time() + (double)stat.start / ticks, "gauge",
                       "Start of the process, seconds since 1970.");
}
