/* evaluate/label.h - what a configuration is called in reports. */
#ifndef EVALUATE_LABEL_H
#define EVALUATE_LABEL_H

#include <stddef.h>

#include <reco/settings.h>

/* "preset shop", "default settings", "preset shop and 2 settings of its own": by the values themselves, wherever they came from. Those that change no
 * answer, such as where data lies, do not count. `settings` is what evaluation_settings made. */
reco_status evaluate_label(char *out, size_t room, const reco_settings *settings, reco_error *err);

#endif
