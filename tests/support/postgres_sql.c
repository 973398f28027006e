/* tests/support/postgres_sql.c - see postgres_sql.h. */
#include "support/postgres_sql.h"

#include <check.h>
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

void postgres_expect(PGconn *link, const char *sql, const char *value) {
    PGresult *result = PQexec(link, sql);
    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1, "%s: %s", sql, PQerrorMessage(link));
    ck_assert_msg(strcmp(PQgetvalue(result, 0, 0), value) == 0, "%s: %s, not %s", sql, PQgetvalue(result, 0, 0), value);
    PQclear(result);
}
