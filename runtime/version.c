/* version.c - the text that cmake/version.cmake wrote when this was built. */
#include "runtime/version.h"

#include <version_text.h>

const char *version_text(void)
{
    return VERSION_TEXT;
}
