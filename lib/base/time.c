/* base/time.c - clocks, and RFC 3339 in and out. */
#include <time.h>

#include "base/base.h"

#define DAY_MS INT64_C(86400000)
#define LAST_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail for these two clocks */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t reco__now_ms(void) { return clock_ns(CLOCK_REALTIME) / 1000000; }
int64_t reco__monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int days_in_month(int year, int month) {
    static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days before the first of January of `year`, counted from year 1. */
static int64_t days_before_year(int year) {
    int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400;
}

static int64_t days_since_1970(int year, int month, int day) {
    int64_t days = days_before_year(year) - days_before_year(1970) + day - 1;
    for (int m = 1; m < month; m++) {
        days += days_in_month(year, m);
    }
    return days;
}

/* `count` digits at *at, which moves behind them; -1 when they are not digits. */
static int digits(const char **at, const char *end, int count) {
    int value = 0;

    if (end - *at < count) {
        return -1;
    }
    for (int i = 0; i < count; i++) {
        char c = *(*at)++;
        if (c < '0' || c > '9') {
            return -1;
        }
        value = value * 10 + (c - '0');
    }
    return value;
}

static bool one_of(const char **at, const char *end, char a, char b) {
    if (*at == end || (**at != a && **at != b)) {
        return false;
    }
    (*at)++;
    return true;
}

static bool parse_date(const char **at, const char *end, int64_t *ms) {
    int year = digits(at, end, 4);
    if (year < 1969 || !one_of(at, end, '-', '-')) { /* the last hours of 1969 are in 1970 where the offset is negative */
        return false;
    }
    int month = digits(at, end, 2);
    if (month < 1 || month > 12 || !one_of(at, end, '-', '-')) {
        return false;
    }
    int day = digits(at, end, 2);
    if (day < 1 || day > days_in_month(year, month)) {
        return false;
    }
    *ms = days_since_1970(year, month, day) * DAY_MS;
    return true;
}

/* Adds the milliseconds of ".123456"; digits beyond the third are dropped. */
static bool parse_fraction(const char **at, const char *end, int64_t *ms) {
    int64_t scale = 100;
    const char *begin = *at;

    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        *ms += (**at - '0') * scale;
        scale /= 10;
    }
    return *at > begin;
}

static bool parse_clock(const char **at, const char *end, int64_t *ms) {
    int hour = digits(at, end, 2);
    if (hour < 0 || hour > 23 || !one_of(at, end, ':', ':')) {
        return false;
    }
    int minute = digits(at, end, 2);
    if (minute < 0 || minute > 59 || !one_of(at, end, ':', ':')) {
        return false;
    }
    int second = digits(at, end, 2);
    if (second < 0 || second > 59) { /* leap seconds have no number of their own in POSIX time */
        return false;
    }
    *ms += ((hour * 60 + minute) * 60 + second) * INT64_C(1000);
    return !one_of(at, end, '.', '.') || parse_fraction(at, end, ms);
}

static bool parse_offset(const char **at, const char *end, int64_t *ms) {
    if (one_of(at, end, 'Z', 'z')) {
        return true;
    }
    int64_t sign = *at < end && **at == '-' ? -1 : 1;
    if (!one_of(at, end, '+', '-')) {
        return false;
    }
    int hour = digits(at, end, 2);
    if (hour < 0 || hour > 23 || !one_of(at, end, ':', ':')) {
        return false;
    }
    int minute = digits(at, end, 2);
    if (minute < 0 || minute > 59) {
        return false;
    }
    *ms -= sign * (hour * 60 + minute) * INT64_C(60000);
    return true;
}

bool reco__time_parse(const char *text, size_t size, int64_t *ms) {
    if (size == 0) {
        return false;
    }
    const char *at = text, *end = text + size;
    int64_t value = 0;
    if (!parse_date(&at, end, &value) || !one_of(&at, end, 'T', 't') || !parse_clock(&at, end, &value) || !parse_offset(&at, end, &value)) {
        return false;
    }
    if (at != end || value < 0 || value > LAST_MS) {
        return false;
    }
    *ms = value;
    return true;
}

static char *put_digits(char *out, int64_t value, int count) {
    for (int i = count - 1; i >= 0; i--, value /= 10) {
        out[i] = (char)('0' + value % 10);
    }
    return out + count;
}

/* Year and day of the year; the estimate by the mean length of a year is at most one too high. */
static int split_days(int64_t *days) {
    int64_t since_year_1 = *days + days_before_year(1970);
    int year = (int)(since_year_1 * 400 / 146097) + 1;

    while (days_before_year(year) > since_year_1) {
        year--;
    }
    while (days_before_year(year + 1) <= since_year_1) {
        year++;
    }
    *days = since_year_1 - days_before_year(year);
    return year;
}

void reco__time_format(int64_t ms, char out[32]) {
    ms = ms < 0 ? 0 : ms > LAST_MS ? LAST_MS : ms;
    int64_t days = ms / DAY_MS, rest = ms % DAY_MS;
    int year = split_days(&days), month = 1;

    while (days >= days_in_month(year, month)) {
        days -= days_in_month(year, month++);
    }
    out = put_digits(out, year, 4);
    *out++ = '-';
    out = put_digits(out, month, 2);
    *out++ = '-';
    out = put_digits(out, days + 1, 2);
    *out++ = 'T';
    out = put_digits(out, rest / 3600000, 2);
    *out++ = ':';
    out = put_digits(out, rest / 60000 % 60, 2);
    *out++ = ':';
    out = put_digits(out, rest / 1000 % 60, 2);
    *out++ = '.';
    out = put_digits(out, rest % 1000, 3);
    *out++ = 'Z';
    *out = '\0';
}
