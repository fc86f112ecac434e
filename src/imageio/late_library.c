/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Libraries that are loaded when they are needed. */
#include "imageio/late_library.h"

#include <gmodule.h>
#include <string.h>

static gboolean _find_functions(const dt_late_library_t *library, GModule *module)
{
  char *slot = library->functions;
  for(const char *const *name = library->names; *name; name++, slot += sizeof(gpointer))
  {
    gpointer symbol = NULL;
    if(!g_module_symbol(module, *name, &symbol) || !symbol) return FALSE;
    memcpy(slot, &symbol, sizeof(symbol)); // C has no cast from an object's pointer to a function's
  }
  return TRUE;
}

gboolean dt_late_library_load(dt_late_library_t *library)
{
  if(g_once_init_enter(&library->once))
  {
    GModule *module = g_module_open(library->file, G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
    library->loaded = module && _find_functions(library, module);
    // what has run once stays: it may have threads and tables of its own
    if(library->loaded) g_module_make_resident(module);
    if(module && !library->loaded) g_module_close(module);
    g_once_init_leave(&library->once, 1);
  }
  return library->loaded;
}
