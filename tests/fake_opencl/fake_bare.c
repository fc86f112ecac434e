/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A library that has some of OpenCL's names, as one of another make or age may: it cannot be used, and nothing of it may
 * be called. */
#include <stdlib.h>

__attribute__((visibility("default"))) int clGetPlatformIDs(void)
{
  abort();
}

__attribute__((visibility("default"))) int clGetPlatformInfo(void)
{
  abort();
}
