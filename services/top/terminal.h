/* top/terminal.h - a terminal that a program draws on: keys come one by one, the screen is its own, and all of that is undone however it ends. */
#ifndef TOP_TERMINAL_H
#define TOP_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include <reco/status.h>

/* Takes the terminal of stdin and stdout, to which both must belong, and holds SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP and SIGWINCH of this thread.
 * There is one terminal; a second one cannot be taken. IO. */
reco_status top_terminal_take(reco_error *err);
void top_terminal_give_back(void);
void top_terminal_size(unsigned *columns, unsigned *rows);
/* Draws a screen in place of the one before. */
void top_terminal_draw(const char *text, size_t size);

/* What came first, until `until_ns` (CLOCK_MONOTONIC): a key; TOP_RESIZED; TOP_STOPPED, after which it goes on as before; TOP_ENDED, when a signal
 * asks to end or the terminal is gone; TOP_READY, when there is something to be read from the descriptor `also`, -1 for none; TOP_NOTHING. */
enum { TOP_NOTHING = 0, TOP_RESIZED = 256, TOP_STOPPED, TOP_ENDED, TOP_READY };
int top_terminal_wait(int64_t until_ns, int also);

#endif
