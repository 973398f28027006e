/* cli/interrupt.h - an end in order, for a command that would leave something behind when it is killed: Ctrl-C, SIGTERM and SIGHUP ask it to stop,
 * and the second one ends it at once. A pipe that was closed is an error of writing, and no signal. One a process. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdint.h>

/* The flag that is set: to be the `cancel` of calls. Signals that the process was started with as ignored stay so. */
const volatile int32_t *cli_interrupt_begin(void);
/* Once everything is put away: dies by the signal that came, as who started it expects; answers `code` when none did. */
int cli_interrupt_end(int code);

#endif
