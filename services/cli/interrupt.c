#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile int32_t came; /* the signal */

static void on_signal(int number) {
    if (__atomic_exchange_n(&came, number, __ATOMIC_RELAXED) == 0)
        return;
    signal(number, SIG_DFL);
    raise(number); /* held back until this returns */
}

const volatile int32_t *cli_interrupt_begin(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return &came;
}

int cli_interrupt_end(int code) {
    int number = __atomic_load_n(&came, __ATOMIC_RELAXED);
    if (number == 0)
        return code;
    signal(number, SIG_DFL);
    raise(number);
    return code;
}
