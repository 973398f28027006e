/* http/file.h - files that programs are given, "-" for stdin. */
#ifndef HTTP_FILE_H
#define HTTP_FILE_H

#include <stddef.h>
#include <stdio.h>

#include <reco/status.h>

/* For reading; to be closed with http_file_close. NOT_FOUND or IO, naming the path. */
reco_status http_file_open(FILE **out, const char *path, reco_error *err);
void http_file_close(FILE *file);
/* All of it; terminated, to be freed. TOO_LARGE beyond `most` bytes. */
reco_status http_file_read(char **text, size_t *size, const char *path, size_t most, reco_error *err);

#endif
