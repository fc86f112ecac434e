/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shapes. Part of every build, with AI or without. */
#include "ai/backend.h"

size_t dt_ai_tensor_element_count(const int64_t *shape, int ndim)
{
  size_t count = 1;
  for(int i = 0; i < ndim; i++)
    if(shape[i] <= 0 || __builtin_mul_overflow(count, (size_t)shape[i], &count)) return 0;
  return count;
}
