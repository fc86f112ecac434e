/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What a module of the pixelpipe is: one operation on pixels, with its parameters, on the CPU and on OpenCL devices.
 *
 * A module is a constant table of functions. For each picture and pipe it has a piece: its parameters made ready. Pixels
 * come and go as rectangles (regions of interest) of the module's input and output pictures, in buffers that hold just
 * the rectangle:
 *
 * - Before demosaic one float for each site; after it four for each pixel: red, green, blue, and one that is carried
 *   along (alpha, or 0).
 * - A module that looks at neighbours asks for a larger rectangle than it gives, cut at the picture's edges. What it does
 *   at an edge of the picture it does there and nowhere else, and what a pixel becomes depends on nothing but the picture
 *   and the parameters: any rectangle is that part of the whole, to the last bit.
 * - The scale says how large the pixels of a rectangle are beside those of the photograph at its full size: 0.5 is half
 *   size. Radii in parameters are pixels of the full size.
 *
 * process() and process_cl() give the same within 1e-4. Neither changes its input. Both are called from any thread, one
 * piece from several at once: pieces do not change once they are committed.
 */
#ifndef DT_IOP_IOP_H
#define DT_IOP_IOP_H

#include "common/camera_colour.h"
#include "common/mosaic.h"
#include "common/opencl_launch.h"

G_BEGIN_DECLS

/* --- parameters --- */

typedef enum dt_iop_type_t
{
  DT_IOP_FLOAT,
  DT_IOP_INT,
  DT_IOP_BOOL, ///< a gboolean
  DT_IOP_ENUM, ///< an int: the place in `choices`
} dt_iop_type_t;

/** One parameter of a module: what the command line, the sidecar and a panel know about it. */
typedef struct dt_iop_param_t
{
  const char *name; ///< lower case, as in `--module exposure.exposure=1`
  dt_iop_type_t type;
  gsize offset;                 ///< in the module's parameters
  double least, most, standard; ///< of numbers; of an enum the place in choices; both ends are included
  const char *const *choices;   ///< of an enum, NULL-terminated
  const char *unit;             ///< "EV", "px", "°", or ""
  const char *help;             ///< a clause
} dt_iop_param_t;

/* --- pictures --- */

/** The photograph a pipe works on: what modules may know of it. Borrowed by pieces for their life. */
typedef struct dt_iop_image_t
{
  int width, height;         ///< of what comes in: the sensor's visible area, or the picture
  const dt_mosaic_t *mosaic; ///< of a raw; NULL: a picture in linear light that needs no raw module
  double neutral[4];         ///< response to white of a raw's colours, green 1
  dt_camera_colour_t colour; ///< of a raw: what its colours are
  double iso;                ///< 0: not known
  /** Noise of the sensor's samples before anything is done to them, as common/noise.h and DNG's NoiseProfile have it, of
   * the colours' mean: variance = noise_scale x + noise_offset, x from 0 (black) to 1 (saturated). Of a picture that is no
   * raw: of its linear light. Both 0: not known. */
  double noise_scale, noise_offset;
  double baseline_exposure;                    ///< stops
  int crop_x, crop_y, crop_width, crop_height; ///< what is to be shown of it
  int orientation;                             ///< EXIF orientation, 1 to 8, of what is to be shown
} dt_iop_image_t;

/** Whether the pipe begins with one float for each site: a raw with a filter array. Other raws begin with the samples of a
 * pixel as four channels. */
#define DT_IOP_IS_MOSAIC(image) ((image)->mosaic && (image)->mosaic->sensor != DT_SENSOR_LINEAR)

/** A rectangle of a module's input or output. */
typedef struct dt_iop_roi_t
{
  int x, y, width, height; ///< in pixels of that picture
  double scale;            ///< of that picture
} dt_iop_roi_t;

/** Linear map of places, x' = a x + b y + c, y' = d x + e y + f; (0, 0) is the corner of the first pixel. */
typedef struct dt_iop_affine_t
{
  double a, b, c, d, e, f;
} dt_iop_affine_t;

/* --- modules --- */

typedef struct dt_iop_module_t dt_iop_module_t;

/** A module at work in a pipe. */
typedef struct dt_iop_piece_t
{
  const dt_iop_module_t *module;
  const dt_iop_image_t *image;
  void *data;       ///< what commit() made of the parameters, or NULL
  gboolean enabled; ///< commit() may switch off what would change nothing, or makes no sense for the picture
  int channels_in, channels_out; ///< 1 or 4
  int in_width, in_height;       ///< of the whole input picture, at its scale
  int out_width, out_height;     ///< of the whole output picture
  double in_scale, out_scale;
  /** Of a raw: where the sensor is full, by colour, which is what white balance has multiplied them by. The pipe begins
   * with 1 and hands on, in both, what went out of the last piece that is on; what goes out is changed by commit(). */
  float saturation_in[4], saturation_out[4];
} dt_iop_piece_t;

typedef enum dt_iop_flags_t
{
  DT_IOP_RAW = 1 << 0, ///< only for raws: passed over for other pictures; its masks take no ranges of colours
  DT_IOP_ON = 1 << 1,  ///< on unless the history says otherwise
  DT_IOP_HIDDEN = 1 << 2,   ///< belongs to the pipe: no history, no parameters of the user's
  DT_IOP_NO_BLEND = 1 << 3, ///< its output is no changed input: masks make no sense
  DT_IOP_ON_RAW =
      1 << 4, ///< like DT_IOP_ON for raws; for other pictures off unless the history says otherwise
  DT_IOP_ALWAYS = 1 << 5,      ///< cannot be switched off: without it what comes behind would be nonsense
  DT_IOP_NEEDS_NOISE = 1 << 6, ///< commit() wants the picture's noise, which takes a look at all of it
} dt_iop_flags_t;

struct dt_iop_module_t
{
  const char *name;  ///< lower case: "exposure"
  const char *title; ///< for people: "exposure"
  int version;       ///< of its parameters, from 1
  unsigned flags;
  gsize params_size;            ///< 0: it has none
  const dt_iop_param_t *params; ///< ended by one without a name

  /** Makes the piece's data of the parameters; values are within their limits. May clear piece->enabled.
   * @return FALSE with @p error when the picture and the parameters do not go together */
  gboolean (*commit)(dt_iop_piece_t *piece, const void *params, GError **error);
  /** Frees the piece's data. NULL: it is one block of g_malloc(), or nothing. */
  void (*cleanup)(dt_iop_piece_t *piece);

  /** Size and scale of the output picture, from those of the input, which are set: sets out_width, out_height, out_scale.
   * NULL: the same. */
  void (*size)(dt_iop_piece_t *piece);
  /** The rectangle of the input that is needed for @p out; it is cut at the edges by the caller. NULL: the same. */
  void (*need)(const dt_iop_piece_t *piece, const dt_iop_roi_t *out, dt_iop_roi_t *in);
  /** Where a place of the output comes from in the input. NULL: from the same place. */
  void (*origin)(const dt_iop_piece_t *piece, dt_iop_affine_t *to_input);
  /** Bytes that process() takes besides input and output. NULL: none. */
  gsize (*memory)(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out);
  /** Bytes that process_cl() takes of the device besides input and output. NULL: none. */
  gsize (*memory_cl)(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out);

  /** Rows are shared among the cores. @p in and @p out do not overlap.
   * @return FALSE with @p error: DT_AI_ERROR_MEMORY */
  gboolean (*process)(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                      const dt_iop_roi_t *roi_out, GError **error);
  /** The same on a device, enqueued: nothing needs to be finished. NULL: the CPU does it.
   * @return FALSE with @p error as dt_opencl_check() sets it */
  gboolean (*process_cl)(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                         const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out, GError **error);
};

/** All modules in the order in which pixels pass them, ended by NULL. */
extern const dt_iop_module_t *const dt_iop_modules[];

/** The module of that name, or NULL. */
const dt_iop_module_t *dt_iop_find(const char *name);
/** Whether it works on that picture when the history says nothing of it. */
gboolean dt_iop_is_on(const dt_iop_module_t *module, const dt_iop_image_t *image);
/** Its standard parameters (transfer full: g_free()), NULL when it has none. */
void *dt_iop_standard_params(const dt_iop_module_t *module);
/** The parameter of that name, or NULL. */
const dt_iop_param_t *dt_iop_find_param(const dt_iop_module_t *module, const char *name);
/** Writes @p text as the parameter's value into @p params.
 * @return FALSE with DT_AI_ERROR_USAGE: it is no such value, or out of range; words say what is allowed */
gboolean dt_iop_set_param(const dt_iop_module_t *module, const dt_iop_param_t *param, void *params,
                          const char *text, GError **error);
/** The value in words that dt_iop_set_param() reads back to the same bits (transfer full). */
char *dt_iop_get_param(const dt_iop_param_t *param, const void *params);

/* --- for modules --- */

/** Grows @p out by @p by pixels to all sides. */
void dt_iop_roi_grow(const dt_iop_roi_t *out, int by, dt_iop_roi_t *in);

/** Computes @p width pixels of four floats from @p in to @p out, which do not overlap, with the piece's @p data. */
typedef void (*dt_iop_row_t)(const void *data, const float *in, float *out, gsize width);
/** Puts all rows of @p roi through @p row, shared among the cores. Input and output are the same rectangle. */
void dt_iop_for_rows(dt_iop_row_t row, const dt_iop_piece_t *piece, const float *in, float *out,
                     const dt_iop_roi_t *roi);

/** Most arguments of dt_iop_enqueue_pixels(). */
#define DT_IOP_MOST_ARGS 12
/** Enqueues the kernel @p name of data/kernels/<program>.cl for each pixel of @p roi. Its arguments are @p in, @p out, the
 * rectangle's width and height, and then @p args.
 * @return FALSE with @p error as dt_opencl_check() sets it */
gboolean dt_iop_enqueue_pixels(dt_opencl_queue_t *queue, const char *program, const char *name, cl_mem in,
                               cl_mem out, const dt_iop_roi_t *roi, const dt_opencl_arg_t *args, int n_args,
                               GError **error);

G_END_DECLS

#endif
