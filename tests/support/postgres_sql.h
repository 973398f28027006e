/* tests/support/postgres_sql.h - what a test says to PostgreSQL itself; whatever fails fails the test. */
#ifndef TEST_POSTGRES_SQL_H
#define TEST_POSTGRES_SQL_H

#include <libpq-fe.h>

/* To be ended by PQfinish. */
PGconn *postgres_link(const char *url);
/* One or more statements. */
void postgres_run(PGconn *link, const char *sql);
/* The first column of a statement that answers one row; cut to the room there is. */
void postgres_ask(char *out, size_t room, PGconn *link, const char *sql);
/* A statement that answers one row, whose first column is `value`. */
void postgres_expect(PGconn *link, const char *sql, const char *value);

#endif
