/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Linear maps of places (dt_iop_affine_t): one after the other, backwards, EXIF orientations; and the same in whole
 * numbers, for pixels.
 *
 * Floats are too coarse to say where in a large picture a pixel comes from, and many devices have no doubles. In fixed
 * point a place is the same on the CPU and on every device, to the last bit, and the same from whatever rectangle it is
 * asked.
 */
#ifndef DT_IOP_AFFINE_H
#define DT_IOP_AFFINE_H

#include "iop/iop.h"

G_BEGIN_DECLS

extern const dt_iop_affine_t dt_iop_affine_identity;

/** The map that does @p first, then @p then. */
dt_iop_affine_t dt_iop_affine_then(const dt_iop_affine_t *first, const dt_iop_affine_t *then);
/** The way back; @p map must have one. */
dt_iop_affine_t dt_iop_affine_invert(const dt_iop_affine_t *map);
/** From the upright picture to the stored one of @p width x @p height.
 * @param orientation  EXIF orientation; others than 1 to 8 count as 1 */
dt_iop_affine_t dt_iop_affine_upright(int orientation, double width, double height);

/** Bits behind the point; numbers up to 2^22 (four million pixels) fit before it. */
#define DT_IOP_FIXED_BITS 40
#define DT_IOP_FIXED_ONE ((gint64)1 << DT_IOP_FIXED_BITS)

/** A map from a pixel's column and row to those of another picture, DT_IOP_FIXED_ONE for each pixel: centres of pixels
 * lie at whole numbers. */
typedef struct dt_iop_fixed_t
{
  gint64 a, b, c, d, e, f;
} dt_iop_fixed_t;

/** @p map, between corners, made one between centres; columns and rows up to 65535 and places up to four times that. */
dt_iop_fixed_t dt_iop_fixed_from(const dt_iop_affine_t *map);

static inline gint64 dt_iop_fixed_x(const dt_iop_fixed_t *map, int x, int y)
{
  return map->a * x + map->b * y + map->c;
}

static inline gint64 dt_iop_fixed_y(const dt_iop_fixed_t *map, int x, int y)
{
  return map->d * x + map->e * y + map->f;
}

/** The pixel at or before a place. */
static inline int dt_iop_fixed_floor(gint64 place)
{
  return (int)(place >> DT_IOP_FIXED_BITS);
}

/** What is beyond it, in 1/2^24: exact as a float. */
static inline int dt_iop_fixed_fraction(gint64 place)
{
  return (int)(place >> (DT_IOP_FIXED_BITS - 24) & 0xFFFFFF);
}

G_END_DECLS

#endif
