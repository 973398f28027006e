/* tests/support/postgres_sql.c - see postgres_sql.h. */
#include "support/postgres_sql.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

PGconn *postgres_link(const char *url) {
    PGconn *link = PQconnectdb(url);
    ck_assert_msg(PQstatus(link) == CONNECTION_OK, "%s", PQerrorMessage(link));
    return link;
}

void postgres_run(PGconn *link, const char *sql) {
    PGresult *result = PQexec(link, sql);
    ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", sql, PQerrorMessage(link));
    PQclear(result);
}

void postgres_ask(char *out, size_t room, PGconn *link, const char *sql) {
    PGresult *result = PQexec(link, sql);
    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1, "%s: %s", sql, PQerrorMessage(link));
    snprintf(out, room, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
}

void postgres_expect(PGconn *link, const char *sql, const char *value) {
    char found[2000];
    postgres_ask(found, sizeof found, link, sql);
    ck_assert_msg(strcmp(found, value) == 0, "%s: %s, not %s", sql, found, value);
}
