/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A build without AI: the same signatures, and one answer. */
#include "ai/backend.h"
#include "ai/restore.h"

#include <string.h>

#define NO_AI "this build has no AI support; ask your distribution's package maintainer to enable it, or use an " \
              "official build"

static const GError *_no_ai(void)
{
  static gsize once;
  static GError *error;
  if(g_once_init_enter(&once))
  {
    error = g_error_new_literal(DT_AI_ERROR, DT_AI_ERROR_DISABLED, NO_AI);
    g_once_init_leave(&once, 1);
  }
  return error;
}

static gboolean _refuse(GError **error)
{
  g_propagate_error(error, g_error_copy(_no_ai()));
  return FALSE;
}

