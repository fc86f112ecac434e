/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Libraries that are loaded when a file of their format is opened. Linked, they would cost every start of the program
 * several milliseconds, and the program would not start without them.
 */
#ifndef DT_IMAGEIO_LATE_LIBRARY_H
#define DT_IMAGEIO_LATE_LIBRARY_H

#include <glib.h>

/** A library and the functions that are wanted of it. */
typedef struct dt_late_library_t
{
  const char *file;         ///< as the loader knows it: libNAME.so.N
  const char *const *names; ///< of the functions, NULL-terminated
  void *functions;          ///< a struct of as many pointers to functions, in that order
  gsize once;
  gboolean loaded;
} dt_late_library_t;

/** Loads it unless it is. FALSE when it is not there, or too old. Thread-safe. */
gboolean dt_late_library_load(dt_late_library_t *library);

#endif
