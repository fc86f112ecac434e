/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pocl.h"

#include "support.h"

#include "common/conf.h"

#include <glib/gstdio.h>

static dt_opencl_driver_t *_real, _copy;

const char *test_pocl_world(void)
{
  const char *world = test_world_create();
  char *cache = g_build_filename(world, "pocl", NULL);
  g_mkdir_with_parents(cache, 0700);
  g_setenv("POCL_DEVICES", "basic pthread", TRUE);
  g_setenv("POCL_CACHE_DIR", cache, TRUE);
  g_free(cache);
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "TRUE");
  return world;
}

const dt_opencl_driver_t *test_pocl_real_driver(void)
{
  return _real;
}

dt_opencl_driver_t *test_pocl_driver(void)
{
  char *absence = NULL;
  dt_opencl_driver_t *driver = NULL;
  GPtrArray *devices = dt_opencl_devices_open(1, &driver, &absence);
  int n;
  g_free(dt_opencl_devices_names(devices, &n));
  g_ptr_array_unref(devices);
  if(n < 2)
    print_message("two OpenCL devices are needed, as PoCL has them: %s\n",
                  absence ? absence : "there is one");
  g_free(absence);
  dt_opencl_driver_destroy(_real);
  _real = driver;
  if(!driver || n < 2) return NULL;
  _copy = *driver;
  return &_copy;
}
