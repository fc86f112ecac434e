/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The one error domain of the library: what went wrong, in a form a program can act on.
 *
 * The message of an error is a full sentence for a person: what failed, why, what to do next.
 * The codes map one to one onto the exit codes of the command line (see doc/command-line.md).
 */
#ifndef DT_COMMON_ERRORS_H
#define DT_COMMON_ERRORS_H

#include <glib.h>

G_BEGIN_DECLS

/** The GError domain of everything in this library. */
#define DT_AI_ERROR (dt_ai_error_quark())

typedef enum dt_ai_error_t
{
  DT_AI_ERROR_FAILED = 1, ///< processing failed for a reason that has no code of its own
  DT_AI_ERROR_USAGE,      ///< an argument is out of range or contradicts another
  DT_AI_ERROR_INPUT,      ///< an input is unreadable, damaged or of an unsupported kind
  DT_AI_ERROR_OUTPUT,     ///< an output cannot be written
  DT_AI_ERROR_NO_MODEL,   ///< there is no such model, or it is not a valid one
  DT_AI_ERROR_PROVIDER,   ///< ONNX Runtime or the execution provider asked for is not available
  DT_AI_ERROR_MEMORY,     ///< the work does not fit the memory budget
  DT_AI_ERROR_NETWORK,    ///< a download or its verification failed
  DT_AI_ERROR_DISABLED,   ///< AI features are switched off, or not part of this build
  DT_AI_ERROR_CANCELLED,  ///< the caller cancelled
} dt_ai_error_t;

GQuark dt_ai_error_quark(void);

G_END_DECLS

#endif
