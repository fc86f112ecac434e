/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OpenMP keeps the number for each thread; a build without it has one core for each loop anyway. */
#include "common/cores.h"

#include <glib.h>
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_set_num_threads(n) ((void)(n))
#endif

void dt_cores_share(int threads)
{
  omp_set_num_threads(MAX(1, (int)g_get_num_processors() / MAX(1, threads)));
}
