/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Linear maps of places. */
#include "iop/affine.h"

#include <math.h>

const dt_iop_affine_t dt_iop_affine_identity = { 1, 0, 0, 0, 1, 0 };

dt_iop_affine_t dt_iop_affine_then(const dt_iop_affine_t *first, const dt_iop_affine_t *then)
{
  const dt_iop_affine_t *p = first, *q = then;
  return (dt_iop_affine_t){ q->a * p->a + q->b * p->d,        q->a * p->b + q->b * p->e,
                            q->a * p->c + q->b * p->f + q->c, q->d * p->a + q->e * p->d,
                            q->d * p->b + q->e * p->e,        q->d * p->c + q->e * p->f + q->f };
}

dt_iop_affine_t dt_iop_affine_invert(const dt_iop_affine_t *map)
{
  const dt_iop_affine_t *m = map;
  const double det = m->a * m->e - m->b * m->d;
  return (dt_iop_affine_t){ m->e / det,  -m->b / det, (m->b * m->f - m->c * m->e) / det,
                            -m->d / det, m->a / det,  (m->c * m->d - m->a * m->f) / det };
}

dt_iop_affine_t dt_iop_affine_upright(int orientation, double width, double height)
{
  const double w = width, h = height;
  switch(orientation)
  {
  case 2: return (dt_iop_affine_t){ -1, 0, w, 0, 1, 0 };
  case 3: return (dt_iop_affine_t){ -1, 0, w, 0, -1, h };
  case 4: return (dt_iop_affine_t){ 1, 0, 0, 0, -1, h };
  case 5: return (dt_iop_affine_t){ 0, 1, 0, 1, 0, 0 };
  case 6: return (dt_iop_affine_t){ 0, 1, 0, -1, 0, h };
  case 7: return (dt_iop_affine_t){ 0, -1, w, -1, 0, h };
  case 8: return (dt_iop_affine_t){ 0, -1, w, 1, 0, 0 };
  default: return dt_iop_affine_identity;
  }
}

static gint64 _to_fixed(double value)
{
  return (gint64)llround(value * (double)DT_IOP_FIXED_ONE);
}

dt_iop_fixed_t dt_iop_fixed_from(const dt_iop_affine_t *map)
{
  const dt_iop_affine_t *m = map;
  return (dt_iop_fixed_t){ _to_fixed(m->a), _to_fixed(m->b), _to_fixed(0.5 * (m->a + m->b) + m->c - 0.5),
                           _to_fixed(m->d), _to_fixed(m->e), _to_fixed(0.5 * (m->d + m->e) + m->f - 0.5) };
}
