/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Every kernel on every OpenCL device against the CPU: the numbers and the speed, and which priorities suit them.
 */
#ifndef DT_LIBS_OPENCL_TEST_H
#define DT_LIBS_OPENCL_TEST_H

#include "common/opencl.h"

/** Differences up to this are rounding: pictures are between 0 and 1. */
#define DT_OPENCL_TEST_TOLERANCE 1e-5

/** One kernel on one device. */
typedef struct dt_opencl_test_t
{
  int device;
  const char *program, *kernel; ///< static strings
  gboolean correct;             ///< within the tolerance at every size
  double difference;            ///< largest from the CPU's, or NaN when there is none
  double cpu, alone,
      copied;    ///< megapixels per second: on the CPU, on the device, there with copying to and fro
  char *failure; ///< why there are no numbers, or NULL
} dt_opencl_test_t;

/** How to test. Zero-initialise for the defaults. */
typedef struct dt_opencl_test_opts_t
{
  double megapixels; ///< of the picture that speed is measured with, default 4
  int rounds;        ///< the median counts, default 5
  GCancellable *cancellable;
  void (*tell)(const dt_opencl_test_t *test, void *user_data); ///< after each, or NULL
  void *user_data;
} dt_opencl_test_opts_t;

/** Tests all devices one after the other.
 * @return of dt_opencl_test_t *, by device and kernel (transfer full); NULL with DT_AI_ERROR_CANCELLED, or _MEMORY: the
 *         machine has no room for the pictures */
GPtrArray *dt_opencl_test_all(dt_opencl_t *cl, const dt_opencl_test_opts_t *opts, GError **error);

/** The priorities that these figures suggest (transfer full): devices that are wrong or much slower than the CPU are
 * left out, the fastest is kept for the full view where there are several, the others take the preview.
 * @param why  receives sentences, one for each device (transfer full) */
char *dt_opencl_test_suggest(dt_opencl_t *cl, const GPtrArray *tests, char **why);

#endif
