/* cli/outputs.h - files that a long command writes at its end, looked at before it begins. */
#ifndef CLI_OUTPUTS_H
#define CLI_OUTPUTS_H

#include <stdbool.h>

#include <reco/status.h>

/* Whether a file can be written there, by what its folder or the file that is there allows; nothing is made. INVALID or IO naming the option. */
reco_status cli_output_check(const char *path, const char *option, reco_error *err);
/* Whether two paths lead to one file; also when there is none yet. Devices and pipes are none. */
bool cli_output_same(const char *a, const char *b);

#endif
