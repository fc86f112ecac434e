/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Questions to an OpenCL driver about one device, with answers that can be relied upon.
 *
 * Whoever asks goes on after a failure: the first one is kept, and an answer that did not come is 0 or "".
 */
#ifndef DT_COMMON_OPENCL_QUERY_H
#define DT_COMMON_OPENCL_QUERY_H

#include "common/opencl_driver.h"

G_BEGIN_DECLS

typedef struct dt_opencl_query_t
{
  const dt_opencl_driver_t *cl;
  cl_device_id device;
  char *failure; ///< the first question without an answer and why, as a clause (g_free()); NULL: none
} dt_opencl_query_t;

/** Text from a driver, fit to be shown: valid UTF-8 of at most 200 bytes, no control characters, blanks only single and
 * inside (transfer full). */
char *dt_opencl_clean_text(const char *text);

/** Asks for a text, cleaned (transfer full). @param called  what is asked for: "its name" */
char *dt_opencl_query_text(dt_opencl_query_t *query, cl_device_info what, const char *called);
/** The same, as it is: at most 64 KiB. */
char *dt_opencl_query_raw(dt_opencl_query_t *query, cl_device_info what, const char *called);
/** Asks for a number. @param size  of the type it has: 4 or 8 bytes */
guint64 dt_opencl_query_number(dt_opencl_query_t *query, cl_device_info what, gsize size, const char *called);
/** Asks for a structure of exactly @p size bytes, at most 64. @return FALSE: @p answer is zeros */
gboolean dt_opencl_query_struct(dt_opencl_query_t *query, cl_device_info what, void *answer, gsize size,
                                const char *called);

/** Where the device sits, by whichever of its @p extensions tells that: "0000:01:00.0" (transfer full), or NULL. A driver
 * that does not answer is no failure of the query. */
char *dt_opencl_query_pci(dt_opencl_query_t *query, const char *extensions);
/** Its UUID (transfer full), or NULL, likewise. */
char *dt_opencl_query_uuid(dt_opencl_query_t *query, const char *extensions);
/** Whether it can round quotients and square roots of single precision correctly; FALSE where the driver does not say. */
gboolean dt_opencl_query_rounding(const dt_opencl_query_t *query);

G_END_DECLS

#endif
