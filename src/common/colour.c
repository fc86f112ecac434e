/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transfer curves and small matrices.
 *
 * A curve costs one power. All loops run over blocks of constant length, without branches or calls, so that a compiler
 * turns them into vector code at -O2 already. */
#include "common/colour.h"
#include "common/power.h"

#include <math.h>
#include <string.h>

/** Samples per block: a multiple of every vector width in use, and long enough that filling a block in
 * narrower pieces than it is read in does not stall. */
#define BLOCK 64

const dt_curve_t dt_curve_linear = { .g = 1.0, .a = 1.0, .c = 1.0 };
const dt_curve_t dt_curve_srgb = {
  .g = 2.4, .a = 1.0 / 1.055, .b = 0.055 / 1.055, .c = 1.0 / 12.92, .d = 0.04045
};
const dt_curve_t dt_curve_adobergb = { .g = 563.0 / 256.0, .a = 1.0 };
const dt_curve_t dt_curve_prophoto = { .g = 1.8, .a = 1.0, .c = 1.0 / 16.0, .d = 16.0 / 512.0 };
const dt_curve_t dt_curve_rec2020 = { .g = 1.0 / 0.45,
                                      .a = 1.0 / 1.09929682680944,
                                      .b = 0.09929682680944 / 1.09929682680944,
                                      .c = 1.0 / 4.5,
                                      .d = 4.5 * 0.018053968510807 };

/** One direction of a curve on non-negative values:
 * y = scale·(x + shift)^g + offset for x >= limit, y = slope·x + base below. */
typedef struct _plan_t
{
  dt_power_t power;
  float shift, scale, offset, limit, slope, base;
} _plan_t;

static _plan_t _plan_decode(const dt_curve_t *k)
{
  return (_plan_t){ .power = dt_power_prepare(k->g),
                    .shift = (float)(k->b / k->a),
                    .scale = (float)pow(k->a, k->g),
                    .offset = (float)k->e,
                    .limit = (float)k->d,
                    .slope = (float)k->c,
                    .base = (float)k->f };
}

static _plan_t _plan_encode(const dt_curve_t *k)
{
  const double base = k->a * k->d + k->b;
  return (_plan_t){ .power = dt_power_prepare(1.0 / k->g),
                    .shift = (float)-k->e,
                    .scale = (float)(1.0 / k->a),
                    .offset = (float)(-k->b / k->a),
                    .limit = (float)((base > 0.0 ? pow(base, k->g) : 0.0) + k->e),
                    .slope = k->c > 0.0 ? (float)(1.0 / k->c) : 0.0f,
                    .base = k->c > 0.0 ? (float)(-k->f / k->c) : 0.0f };
}

static inline float _apply(const _plan_t *plan, float x)
{
  const uint32_t sign = dt_power_bits(x) & 0x80000000u;
  const float size = dt_power_float(dt_power_bits(x) & 0x7fffffffu);
  const float curved = plan->scale * dt_power_raise(size + plan->shift, &plan->power) + plan->offset;
  const float straight = plan->slope * size + plan->base;
  const float y = dt_power_select(size, plan->limit, curved, straight);
  // the bits of infinity and of all that is not a number stay as they are
  return dt_power_select(size, INFINITY, x, dt_power_float(dt_power_bits(y) ^ sign));
}

static inline void _apply_block(const _plan_t *plan, const float *in, float *out)
{
  float block[BLOCK];
  memcpy(block, in, sizeof(block));
  for(int i = 0; i < BLOCK; i++) block[i] = _apply(plan, block[i]);
  memcpy(out, block, sizeof(block));
}

DT_WIDE_VECTORS static void _apply_all(const _plan_t *plan, const float *in, float *out, size_t n)
{
  const _plan_t local = *plan; // not aliased by out: stays in registers
  size_t i = 0;
  for(; i + BLOCK <= n; i += BLOCK) _apply_block(&local, in + i, out + i);
  if(i == n) return;
  float block[BLOCK] = { 0 };
  memcpy(block, in + i, (n - i) * sizeof(float));
  _apply_block(&local, block, block);
  memcpy(out + i, block, (n - i) * sizeof(float));
}

static gboolean _is_identity(const dt_curve_t *k)
{
  return k->g == 1.0 && k->a == 1.0 && k->b == 0.0 && k->e == 0.0 && k->d <= 0.0;
}

void dt_curve_decode(const dt_curve_t *curve, const float *in, float *out, size_t n)
{
  if(_is_identity(curve))
  {
    memmove(out, in, n * sizeof(float));
    return;
  }
  const _plan_t plan = _plan_decode(curve);
  _apply_all(&plan, in, out, n);
}

void dt_curve_encode(const dt_curve_t *curve, const float *in, float *out, size_t n)
{
  if(_is_identity(curve))
  {
    memmove(out, in, n * sizeof(float));
    return;
  }
  const _plan_t plan = _plan_encode(curve);
  _apply_all(&plan, in, out, n);
}

// the plans of sRGB as constants: restoration calls these on short rows of tiles

void dt_srgb_decode(const float *in, float *out, size_t n)
{
  static const _plan_t plan = { .power = { 2.400390625f, -0.000390625f, 3.46246809813335f },
                                .shift = 0.055f,
                                .scale = 0.87941546140213f,
                                .limit = 0.04045f,
                                .slope = (float)(1.0 / 12.92) };
  _apply_all(&plan, in, out, n);
}

void dt_srgb_encode(const float *in, float *out, size_t n)
{
  static const _plan_t plan = { .power = { 0.4169921875f, -0.000325520833333f, 0.601122933703735f },
                                .scale = 1.055f,
                                .offset = -0.055f,
                                .limit = 0.0031308072830676845f,
                                .slope = 12.92f };
  _apply_all(&plan, in, out, n);
}

void dt_matrix_apply(const float m[9], float *pixels, size_t n, int stride)
{
  for(float *p = pixels, *end = pixels + n * (size_t)stride; p < end; p += stride)
  {
    const float r = p[0], g = p[1], b = p[2];
    p[0] = m[0] * r + m[1] * g + m[2] * b;
    p[1] = m[3] * r + m[4] * g + m[5] * b;
    p[2] = m[6] * r + m[7] * g + m[8] * b;
  }
}
