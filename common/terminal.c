/* SPDX-License-Identifier: Apache-2.0 */
#include "common/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool glet_terminal(int descriptor)
{
    const char *term = getenv("TERM");
    return isatty(descriptor) && term && strcmp(term, "dumb") != 0;
}

bool glet_terminal_colours(int descriptor)
{
    const char *no_colour = getenv("NO_COLOR");
    return glet_terminal(descriptor) && !(no_colour && *no_colour);
}

int glet_terminal_width(int descriptor)
{
    struct winsize size;
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
