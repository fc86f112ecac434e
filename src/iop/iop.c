/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The modules in their order, their parameters by name, and what many of them do alike. */
#include "iop/iop.h"

#include "common/errors.h"

#include <math.h>
#include <string.h>

/* Each module's file says what it does. */
/* clang-format off */
#define DT_IOP_MODULES(X)                                                                                    \
  X(rawprepare) X(temperature) X(highlights) X(demosaic) X(denoiseprofile) X(exposure) X(clipping)           \
  X(colorin) X(sigmoid) X(colorbalance) X(sharpen) X(scale) X(colorout) X(gamma)
/* clang-format on */

#define DECLARE(name) extern const dt_iop_module_t dt_iop_##name;
DT_IOP_MODULES(DECLARE)
#undef DECLARE

#define LIST(name) &dt_iop_##name,
const dt_iop_module_t *const dt_iop_modules[] = { DT_IOP_MODULES(LIST) NULL };
#undef LIST

const dt_iop_module_t *dt_iop_find(const char *name)
{
  for(const dt_iop_module_t *const *module = dt_iop_modules; *module; module++)
    if(strcmp((*module)->name, name) == 0) return *module;
  return NULL;
}

gboolean dt_iop_is_on(const dt_iop_module_t *module, const dt_iop_image_t *image)
{
  if((module->flags & DT_IOP_RAW) && !image->mosaic) return FALSE;
  return (module->flags & DT_IOP_ON) || ((module->flags & DT_IOP_ON_RAW) && image->mosaic);
}

const dt_iop_param_t *dt_iop_find_param(const dt_iop_module_t *module, const char *name)
{
  for(const dt_iop_param_t *param = module->params; param && param->name; param++)
    if(strcmp(param->name, name) == 0) return param;
  return NULL;
}

/* --- values --- */

static void *_at(const dt_iop_param_t *param, void *params)
{
  return (char *)params + param->offset;
}

static const void *_at_const(const dt_iop_param_t *param, const void *params)
{
  return (const char *)params + param->offset;
}

static void _store(const dt_iop_param_t *param, void *params, double value)
{
  if(param->type == DT_IOP_FLOAT)
    *(float *)_at(param, params) = (float)value;
  else
    *(int *)_at(param, params) = (int)value;
}

void *dt_iop_standard_params(const dt_iop_module_t *module)
{
  if(module->params_size == 0) return NULL;
  void *params = g_malloc0(module->params_size);
  for(const dt_iop_param_t *param = module->params; param->name; param++)
    _store(param, params, param->standard);
  return params;
}

/* The place of @p text in the choices, or -1. */
static int _find_choice(const char *const *choices, const char *text)
{
  for(int i = 0; choices[i]; i++)
    if(g_ascii_strcasecmp(choices[i], text) == 0) return i;
  return -1;
}

static gboolean _parse_bool(const char *text, double *value)
{
  static const char *const no[] = { "false", "0", "no", "off", NULL }, *const yes[] = { "true", "1", "yes",
                                                                                        "on", NULL };
  *value = _find_choice(yes, text) >= 0;
  return *value > 0 || _find_choice(no, text) >= 0;
}

static gboolean _parse_number(const dt_iop_param_t *param, const char *text, double *value)
{
  char *end;
  *value = g_ascii_strtod(text, &end);
  /* no hexadecimal numbers, no words such as "inf" */
  if(end == text || *end || strcspn(text, "xXnN") != strlen(text)) return FALSE;
  return isfinite(*value) && *value >= param->least && *value <= param->most
         && (param->type == DT_IOP_FLOAT || *value == floor(*value));
}

/* What would have been allowed, as a clause (transfer full). */
static char *_describe(const dt_iop_param_t *param)
{
  char least[G_ASCII_DTOSTR_BUF_SIZE], most[G_ASCII_DTOSTR_BUF_SIZE];
  if(param->type == DT_IOP_BOOL) return g_strdup("true or false");
  if(param->type == DT_IOP_ENUM)
  {
    char *choices = g_strjoinv(", ", (char **)param->choices);
    char *text = g_strdup_printf("one of %s", choices);
    g_free(choices);
    return text;
  }
  g_ascii_formatd(least, sizeof(least), "%g", param->least);
  g_ascii_formatd(most, sizeof(most), "%g", param->most);
  return g_strdup_printf("a%s number from %s to %s%s%s", param->type == DT_IOP_INT ? " whole" : "", least,
                         most, *param->unit ? " " : "", param->unit);
}

gboolean dt_iop_set_param(const dt_iop_module_t *module, const dt_iop_param_t *param, void *params,
                          const char *text, GError **error)
{
  double value = -1;
  const gboolean fine = param->type == DT_IOP_BOOL   ? _parse_bool(text, &value)
                        : param->type == DT_IOP_ENUM ? (value = _find_choice(param->choices, text)) >= 0
                                                     : _parse_number(param, text, &value);
  if(fine)
  {
    _store(param, params, value);
    return TRUE;
  }
  char *allowed = _describe(param), *shown = g_utf8_make_valid(text, -1);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s.%s is %s, not \"%s\".", module->name, param->name,
              allowed, shown);
  g_free(shown);
  g_free(allowed);
  return FALSE;
}

/* The fewest digits that say the same number. */
static char *_format_float(float value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  for(int digits = 1; digits <= 9; digits++)
  {
    char format[8];
    g_snprintf(format, sizeof(format), "%%.%dg", digits);
    g_ascii_formatd(text, sizeof(text), format, (double)value);
    if((float)g_ascii_strtod(text, NULL) == value) break;
  }
  return g_strdup(text);
}

char *dt_iop_get_param(const dt_iop_param_t *param, const void *params)
{
  if(param->type == DT_IOP_FLOAT) return _format_float(*(const float *)_at_const(param, params));
  const int value = *(const int *)_at_const(param, params);
  if(param->type == DT_IOP_BOOL) return g_strdup(value ? "true" : "false");
  if(param->type == DT_IOP_ENUM) return g_strdup(param->choices[value]);
  return g_strdup_printf("%d", value);
}

void dt_iop_roi_grow(const dt_iop_roi_t *out, int by, dt_iop_roi_t *in)
{
  *in = (dt_iop_roi_t){ out->x - by, out->y - by, out->width + 2 * by, out->height + 2 * by, out->scale };
}

/* --- pixels --- */

void dt_iop_for_rows(dt_iop_row_t row, const dt_iop_piece_t *piece, const float *in, float *out,
                     const dt_iop_roi_t *roi)
{
  const gsize width = (gsize)roi->width, floats = 4 * width;
#pragma omp parallel for
  for(int y = 0; y < roi->height; y++)
    row(piece->data, in + (gsize)y * floats, out + (gsize)y * floats, width);
}

gboolean dt_iop_enqueue_pixels(dt_opencl_queue_t *queue, const char *program, const char *name, cl_mem in,
                               cl_mem out, const dt_iop_roi_t *roi, const dt_opencl_arg_t *args, int n_args,
                               GError **error)
{
  dt_opencl_arg_t all[4 + DT_IOP_MOST_ARGS] = { DT_OPENCL_ARG(in), DT_OPENCL_ARG(out),
                                                DT_OPENCL_ARG(roi->width), DT_OPENCL_ARG(roi->height) };
  g_return_val_if_fail(n_args <= DT_IOP_MOST_ARGS, FALSE);
  memcpy(all + 4, args, (gsize)n_args * sizeof(*args));
  return dt_opencl_launch(queue, program, name, all, 4 + n_args, roi->width, roi->height, error);
}
