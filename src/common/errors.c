/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The error domain shared by every room of the house. */
#include "common/errors.h"

G_DEFINE_QUARK(dt - ai - error - quark, dt_ai_error)
