/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The platform this is compiled for, as constants instead of #ifdef in the logic.
 */
#ifndef DT_AI_PLATFORM_H
#define DT_AI_PLATFORM_H

#include <glib.h>

#if defined(_WIN32)
#define ON_WINDOWS TRUE
#else
#define ON_WINDOWS FALSE
#endif
#if defined(__APPLE__)
#define ON_MACOS TRUE
#else
#define ON_MACOS FALSE
#endif
#if defined(__x86_64__) || defined(_M_X64)
#define ON_X86_64 TRUE
#else
#define ON_X86_64 FALSE
#endif
#define ON_LINUX (!ON_WINDOWS && !ON_MACOS)

#endif
