#include "top/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "http/clock.h"
#include "http/options.h"

/* Of the process, since handlers of signals have no context. */
static struct {
    volatile sig_atomic_t taken;
    struct termios before;
    sigset_t held, mask_before;
    int signals;
} terminal = {.signals = -1};

static const char enter[] = "\033[?1049h\033[?25l\033[H\033[2J"; /* the other screen, no cursor, empty */
static const char leave[] = "\033[0m\033[?25h\033[?1049l";
static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
static const int asked[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

/* A terminal that does not take it is gone, which the next wait tells. */
static void say(const char *text, size_t size) {
    while (size > 0) {
        ssize_t done = write(STDOUT_FILENO, text, size);
        if (done < 0 && errno != EINTR)
            return;
        text += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
}

static void set_raw(void) {
    struct termios raw = terminal.before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    say(enter, sizeof enter - 1);
}

static void set_back(void) {
    say(leave, sizeof leave - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

/* The end of a process that is damaged: only what may be called from handlers. */
static void on_fatal(int number) {
    if (terminal.taken)
        set_back();
    signal(number, SIG_DFL);
    raise(number);
}

static void hold(void) {
    sigemptyset(&terminal.held);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        sigaddset(&terminal.held, asked[i]);
    sigprocmask(SIG_BLOCK, &terminal.held, &terminal.mask_before);
    terminal.signals = signalfd(-1, &terminal.held, SFD_NONBLOCK | SFD_CLOEXEC);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], on_fatal);
    signal(SIGPIPE, SIG_IGN);
}

reco_status top_terminal_take(reco_error *err) {
    if (terminal.taken || tcgetattr(STDIN_FILENO, &terminal.before) != 0)
        return options_fail(err, RECO_IO, "terminal", "cannot be taken: %s", strerror(errno));
    hold();
    if (terminal.signals < 0) {
        sigprocmask(SIG_SETMASK, &terminal.mask_before, NULL);
        return options_fail(err, RECO_IO, "terminal", "cannot wait for signals: %s", strerror(errno));
    }
    terminal.taken = 1;
    set_raw();
    return RECO_OK;
}

void top_terminal_give_back(void) {
    if (!terminal.taken)
        return;
    set_back();
    terminal.taken = 0;
    close(terminal.signals);
    terminal.signals = -1;
    sigprocmask(SIG_SETMASK, &terminal.mask_before, NULL);
}

void top_terminal_size(unsigned *columns, unsigned *rows) {
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    *columns = known && size.ws_col ? size.ws_col : 80;
    *rows = known && size.ws_row ? size.ws_row : 24;
}

/* Each line over the one that was there; the last one ends the screen without scrolling it. */
void top_terminal_draw(const char *text, size_t size) {
    const char *end = text + size;
    say("\033[H", 3);
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        say(text, (size_t)(stop - text));
        say("\033[K", 3);
        text = stop + 1;
        if (text < end)
            say("\r\n", 2);
    }
    say("\033[J", 3);
}

/* Ctrl-Z: the shell gets its terminal, and on return the screen is ours again. */
static int stop_for_a_while(void) {
    sigset_t stop;
    set_back();
    terminal.taken = 0;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL); /* stops here, until SIGCONT */
    sigprocmask(SIG_BLOCK, &stop, NULL);
    terminal.taken = 1;
    set_raw();
    return TOP_STOPPED;
}

static int take_signal(void) {
    struct signalfd_siginfo info;
    if (read(terminal.signals, &info, sizeof info) != (ssize_t)sizeof info)
        return TOP_NOTHING;
    return info.ssi_signo == SIGWINCH ? TOP_RESIZED : info.ssi_signo == SIGTSTP ? stop_for_a_while() : TOP_ENDED;
}

static int take_key(void) {
    unsigned char key;
    ssize_t got = read(STDIN_FILENO, &key, 1);
    return got == 1 ? key : got < 0 && (errno == EAGAIN || errno == EINTR) ? TOP_NOTHING : TOP_ENDED;
}

int top_terminal_wait(int64_t until_ns, int also) {
    struct pollfd of[] = {{.fd = terminal.signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}, {.fd = also, .events = POLLIN}};
    int64_t left = (until_ns - http_monotonic_ns() + 999999) / 1000000;
    int count = poll(of, 3, left <= 0 ? 0 : left < 60000 ? (int)left : 60000);
    if (count <= 0)
        return TOP_NOTHING;
    if (of[0].revents)
        return take_signal();
    return of[1].revents ? take_key() : TOP_READY;
}
