/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rawprepare: the sensor's codes become light, 0 at black and 1 where the sensor is full, by the levels of each site.
 *
 * The same as dt_mosaic_read(), to the last bit: nothing is cut but what is no light at all in files of floating point. */
#include "common/errors.h"
#include "iop/sites.h"

typedef struct _params_t
{
  float black, white;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "black", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, black), -65535, 65535, 0, NULL, "",
    "codes added to the black levels of the file" },
  { "white", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, white), 0, 65535, 0, NULL, "",
    "code at which the sensor is full; 0: what the file says" },
  { NULL },
};

/* Of one place of the tables. What was made of a raw has other codes, and the same history: there the codes are those of
 * the raw. */
static gboolean _set(dt_iop_sites_t *sites, const dt_mosaic_t *m, const _params_t *p, int x, int y)
{
  const float range = m->original_white - m->original_black;
  const float unit = range > 0 ? (m->white[y][x] - m->black[y][x]) / range : 1.0f;
  const float given = range > 0 ? m->black[y][x] + (p->white - m->original_black) * unit : p->white;
  const float black = m->black[y][x] + p->black * unit, white = p->white > 0 ? given : m->white[y][x];
  sites->black[y][x] = black;
  sites->factor[y][x] = 1.0f / (white - black);
  return white > black;
}

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  dt_iop_sites_t *sites = piece->data = dt_iop_sites_new(piece->image);
  gboolean fine = TRUE;
  sites->largest = piece->image->mosaic->is_float ? DT_MOSAIC_LARGEST : 0;
  for(int y = 0; y < sites->rows; y++)
    for(int x = 0; x < sites->columns; x++)
      if(dt_iop_sites_colour(piece->image, x, y) >= 0)
        fine = _set(sites, piece->image->mosaic, params, x, y) && fine;
  for(int c = 0; c < 4; c++) piece->saturation_out[c] = 1;
  if(!fine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                "rawprepare: with these levels black is not below white. Lower rawprepare.black, or leave "
                "rawprepare.white at 0.");
  return fine;
}

const dt_iop_module_t dt_iop_rawprepare = {
  .name = "rawprepare",
  .title = "raw black and white point",
  .version = 1,
  .flags = DT_IOP_RAW | DT_IOP_ON | DT_IOP_NO_BLEND | DT_IOP_ALWAYS,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .process = dt_iop_sites_process,
  .process_cl = dt_iop_sites_process_cl,
};
