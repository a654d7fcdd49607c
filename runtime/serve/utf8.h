/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_UTF8_H
#define GLET_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed character (RFC 3629: shortest form, no surrogates) that text starts
   with; 0 = none. */
size_t glet_utf8_length(const char *text, size_t length);

#endif
