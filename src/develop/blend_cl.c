/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks on an OpenCL device, by the kernels of data/kernels/blend.cl. */
#include "develop/blend_internal.h"

/* What a run takes on the device. */
typedef struct _buffers_t
{
  cl_mem ranges, plane, taps;
  cl_mem mask, between; /* with the feather's margin; with that of its rows only */
} _buffers_t;

static cl_mem _new(dt_opencl_queue_t *queue, gsize floats, const void *data, GError **error)
{
  return dt_opencl_buffer_new(queue, floats * sizeof(float), data, error);
}

static cl_mem _upload_object(const dt_blend_t *blend, dt_opencl_queue_t *queue, int first, int last,
                             GError **error)
{
  const gsize width = (gsize)blend->plane_width;
  return _new(queue, (gsize)(last - first + 1) * width, blend->plane + (gsize)first * width, error);
}

static gboolean _allocate(const dt_blend_t *blend, dt_opencl_queue_t *queue, const dt_blend_plane_t *p,
                          int first, int last, _buffers_t *b, GError **error)
{
  const gsize rows = (gsize)p->height, width = (gsize)p->width, margin = 2 * (gsize)blend->radius;
  b->mask = _new(queue, width * rows, NULL, error);
  b->ranges = b->mask ? dt_opencl_buffer_new(queue, sizeof(dt_blend_ranges_t), &blend->ranges, error) : NULL;
  gboolean fine = b->ranges != NULL;
  if(fine && (blend->flags & DT_BLEND_OBJECT))
    fine = (b->plane = _upload_object(blend, queue, first, last, error)) != NULL;
  if(fine && blend->radius)
    fine = (b->between = _new(queue, (width - margin) * rows, NULL, error)) != NULL
           && (b->taps = _new(queue, (gsize)blend->radius + 1, blend->taps, error)) != NULL;
  return fine;
}

static void _release(dt_opencl_queue_t *queue, const _buffers_t *b)
{
  dt_opencl_buffer_free(queue, b->ranges);
  dt_opencl_buffer_free(queue, b->plane);
  dt_opencl_buffer_free(queue, b->taps);
  dt_opencl_buffer_free(queue, b->mask);
  dt_opencl_buffer_free(queue, b->between);
}

static gboolean _enqueue_mask(const dt_blend_t *blend, dt_opencl_queue_t *queue, cl_mem pixels,
                              const dt_iop_roi_t *roi, const dt_blend_plane_t *plane, int first_row,
                              const _buffers_t *b, GError **error)
{
  const cl_mem object = b->plane ? b->plane : b->mask; /* of no object nothing is read */
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(pixels),
                                   DT_OPENCL_ARG(roi->x),
                                   DT_OPENCL_ARG(roi->y),
                                   DT_OPENCL_ARG(roi->width),
                                   DT_OPENCL_ARG(b->mask),
                                   DT_OPENCL_ARG(plane->width),
                                   DT_OPENCL_ARG(plane->height),
                                   DT_OPENCL_ARG(plane->x),
                                   DT_OPENCL_ARG(plane->y),
                                   DT_OPENCL_ARG(blend->width),
                                   DT_OPENCL_ARG(blend->height),
                                   DT_OPENCL_ARG(blend->flags),
                                   DT_OPENCL_ARG(b->ranges),
                                   DT_OPENCL_ARG(object),
                                   DT_OPENCL_ARG(blend->plane_width),
                                   DT_OPENCL_ARG(blend->plane_height),
                                   DT_OPENCL_ARG(first_row),
                                   DT_OPENCL_ARG(blend->map.a),
                                   DT_OPENCL_ARG(blend->map.b),
                                   DT_OPENCL_ARG(blend->map.c),
                                   DT_OPENCL_ARG(blend->map.d),
                                   DT_OPENCL_ARG(blend->map.e),
                                   DT_OPENCL_ARG(blend->map.f) };
  return dt_opencl_launch(queue, "blend", "blend_mask", args, G_N_ELEMENTS(args), plane->width, plane->height,
                          error);
}

/* One direction: from @p in, @p in_width wide, into @p out. */
static gboolean _enqueue_blur(const dt_blend_t *blend, dt_opencl_queue_t *queue, cl_mem in, int in_width,
                              int first, int step, cl_mem taps, cl_mem out, int width, int height,
                              GError **error)
{
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(in),   DT_OPENCL_ARG(in_width),      DT_OPENCL_ARG(first),
                                   DT_OPENCL_ARG(step), DT_OPENCL_ARG(blend->radius), DT_OPENCL_ARG(taps),
                                   DT_OPENCL_ARG(out),  DT_OPENCL_ARG(width),         DT_OPENCL_ARG(height) };
  return dt_opencl_launch(queue, "blend", "blend_blur", args, G_N_ELEMENTS(args), width, height, error);
}

/* As on the CPU the mask's memory takes the result. */
static gboolean _enqueue_feather(const dt_blend_t *blend, dt_opencl_queue_t *queue,
                                 const dt_blend_plane_t *plane, const _buffers_t *b, GError **error)
{
  const int r = blend->radius, width = plane->width - 2 * r, height = plane->height - 2 * r;
  return _enqueue_blur(blend, queue, b->mask, plane->width, r, 1, b->taps, b->between, width, plane->height,
                       error)
         && _enqueue_blur(blend, queue, b->between, width, r * width, width, b->taps, b->mask, width, height,
                          error);
}

/* The place of the first pixel of @p out in @p roi. */
static int _first(const dt_iop_roi_t *roi, const dt_iop_roi_t *out)
{
  return (out->y - roi->y) * roi->width + out->x - roi->x;
}

static gboolean _enqueue_mix(const dt_blend_t *blend, dt_opencl_queue_t *queue, cl_mem in,
                             const dt_iop_roi_t *roi_in, cl_mem processed, const dt_iop_roi_t *roi_processed,
                             cl_mem mask, cl_mem out, const dt_iop_roi_t *roi_out, GError **error)
{
  const int in_first = _first(roi_in, roi_out), processed_first = _first(roi_processed, roi_out);
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(in),
                                   DT_OPENCL_ARG(in_first),
                                   DT_OPENCL_ARG(roi_in->width),
                                   DT_OPENCL_ARG(processed),
                                   DT_OPENCL_ARG(processed_first),
                                   DT_OPENCL_ARG(roi_processed->width),
                                   DT_OPENCL_ARG(mask),
                                   DT_OPENCL_ARG(blend->opacity),
                                   DT_OPENCL_ARG(out),
                                   DT_OPENCL_ARG(roi_out->width),
                                   DT_OPENCL_ARG(roi_out->height) };
  return dt_opencl_launch(queue, "blend", blend->channels == 1 ? "blend_mix_sites" : "blend_mix", args,
                          G_N_ELEMENTS(args), roi_out->width, roi_out->height, error);
}

gboolean dt_blend_process_cl(const dt_blend_t *blend, dt_opencl_queue_t *queue, cl_mem in,
                             const dt_iop_roi_t *roi_in, cl_mem processed, const dt_iop_roi_t *roi_processed,
                             cl_mem out, const dt_iop_roi_t *roi_out, GError **error)
{
  const dt_blend_plane_t plane = dt_blend_plane(blend, roi_out);
  const gboolean of_output = (blend->flags & DT_BLEND_OUTPUT) != 0;
  _buffers_t b = { 0 };
  int first = 0, last = 0;
  if(blend->flags & DT_BLEND_OBJECT) dt_blend_object_rows(blend, &plane, &first, &last);
  const gboolean fine =
      _allocate(blend, queue, &plane, first, last, &b, error)
      && _enqueue_mask(blend, queue, of_output ? processed : in, of_output ? roi_processed : roi_in, &plane,
                       first, &b, error)
      && (!blend->radius || _enqueue_feather(blend, queue, &plane, &b, error))
      && _enqueue_mix(blend, queue, in, roi_in, processed, roi_processed, b.mask, out, roi_out, error);
  _release(queue, &b);
  return fine;
}
