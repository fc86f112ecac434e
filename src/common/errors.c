/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The error domain shared by every room of the house. */
#include "common/errors.h"

/* What G_DEFINE_QUARK() makes, without its race: two threads may fail for the first time at once. */
GQuark dt_ai_error_quark(void)
{
  static gint quark;
  gint value = g_atomic_int_get(&quark);
  if(!value)
  {
    value = (gint)g_quark_from_static_string("dt-ai-error-quark");
    g_atomic_int_set(&quark, value);
  }
  return (GQuark)value;
}
