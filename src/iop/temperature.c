/* SPDX-License-Identifier: GPL-3.0-or-later */
/* temperature: white balance. Each colour of a raw is multiplied by a coefficient, so that what is white is the same in
 * all of them: as the camera measured it, or as the user says. */
#include "iop/sites.h"

enum
{
  MODE_CAMERA,
  MODE_USER,
};
static const char *const _modes[] = { "camera", "user", NULL };

typedef struct _params_t
{
  int mode;
  float red, green, blue, fourth;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "mode", DT_IOP_ENUM, G_STRUCT_OFFSET(_params_t, mode), 0, 1, MODE_CAMERA, _modes, "",
    "as shot, or by the coefficients below" },
  { "red", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, red), 0.01, 100, 1, NULL, "",
    "coefficient of red (mode user)" },
  { "green", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, green), 0.01, 100, 1, NULL, "",
    "coefficient of green (mode user)" },
  { "blue", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, blue), 0.01, 100, 1, NULL, "",
    "coefficient of blue (mode user)" },
  { "fourth", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, fourth), 0.01, 100, 1, NULL, "",
    "coefficient of the fourth colour of sensors that have one (mode user)" },
  { NULL },
};

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  const double *neutral = piece->image->neutral;
  float balance[4] = { p->red, p->green, p->blue, p->fourth };
  gboolean changes = FALSE;
  for(int c = 0; c < 4; c++)
  {
    if(p->mode == MODE_CAMERA) balance[c] = neutral[c] > 0 ? (float)(1.0 / neutral[c]) : 1.0f;
    piece->saturation_out[c] = piece->saturation_in[c] * balance[c];
  }
  dt_iop_sites_t *sites = piece->data = dt_iop_sites_new(piece->image);
  for(int y = 0; y < sites->rows; y++)
    for(int x = 0; x < sites->columns; x++)
    {
      const int c = dt_iop_sites_colour(piece->image, x, y);
      if(c >= 0) sites->factor[y][x] = balance[c];
      changes = changes || sites->factor[y][x] != 1.0f;
    }
  if(!changes) piece->enabled = FALSE;
  return TRUE;
}

const dt_iop_module_t dt_iop_temperature = {
  .name = "temperature",
  .title = "white balance",
  .version = 1,
  .flags = DT_IOP_RAW | DT_IOP_ON,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .process = dt_iop_sites_process,
  .process_cl = dt_iop_sites_process_cl,
};
