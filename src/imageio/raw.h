/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Camera raws in: the sensor's samples as they were stored, and everything that is known about them. LibRaw decodes;
 * nothing is demosaicked, balanced or cut.
 */
#ifndef DT_IMAGEIO_RAW_H
#define DT_IMAGEIO_RAW_H

#include "common/camera_colour.h"
#include "common/mosaic.h"
#include "imageio/exif.h"
#include "imageio/imageio.h"

/** A raw file, decoded: the samples are in memory until dt_raw_free(). */
typedef struct dt_raw_t
{
  dt_mosaic_t mosaic; ///< of the visible area
  char *name;         ///< the file's, without its directory; "" of the standard input
  char *make, *model; ///< as the camera writes them, never NULL
  char *unique_model; ///< for DNG: make and model without repetition, or the source's own
  char *decoder;      ///< in words, for -d and --dry-run: "Bayer RGGB, 14 bits, Canon CR2 …"

  gboolean has_matrix;
  double matrix[4][3]; ///< XYZ (D65) to camera, rows red, green, blue, fourth; as DNG's ColorMatrix
  dt_camera_colour_t
      colour; ///< of a DNG, as it says it: under one or more lights; else nothing, the matrix is all
  gboolean has_neutral;
  double neutral
      [4]; ///< the camera's response to the light's white, green 1: what AsShotNeutral says. Without one: D65's
  double baseline_exposure;                    ///< stops, mostly 0
  double iso;                                  ///< 0: not known
  int crop_x, crop_y, crop_width, crop_height; ///< what is to be shown of the visible area
  int orientation;                             ///< EXIF orientation 1..8

  gboolean is_dng;
  dt_exif_t *exif; ///< main, EXIF, GPS and interoperability directories with the maker note, or NULL
  /** Of dt_exif_entry_t, values in exif's byte order: tags of a DNG source that hold for its copy as well (matrices,
   * profiles, calibration, lens, private data), which are not in exif then; or NULL. */
  GArray *dng_tags;
  /** Of dt_exif_entry_t likewise: those of the source's raw directory: opcode lists, noise and scale, and what makers
   * put there for lens correction; or NULL. Some describe the samples as they are stored (opcode list 1, noise). */
  GArray *raw_tags;
  GBytes *xmp;   ///< embedded packet, or NULL
  size_t memory; ///< bytes held
} dt_raw_t;

/** Whether the file looks like a raw of any camera: by its content, and its name where content is ambiguous (a TIFF
 * can be either). Opens nothing but its first bytes and directories. */
gboolean dt_raw_is_raw(const char *path);

/** Reads a raw; the path `-` is the standard input.
 *
 * A monochrome sensor, one that stands on its corner (Super CCD), and filter arrays other than those of dt_sensor_t are
 * refused, as is what LibRaw takes for damaged or has fewer than 22 pixels a side. A white level that makes no sense is
 * replaced by the largest number of the sample's bits, if that is above black. Half floats come as floats.
 *
 * @return (transfer full: dt_raw_free()), or NULL with DT_AI_ERROR_INPUT and words about what is wrong: missing, empty,
 *         cut off, not a raw (a JPEG called .nef), a camera or compression that LibRaw does not know (with its
 *         reason), a sensor that is refused, levels that make no sense; or DT_AI_ERROR_USAGE when there is no LibRaw
 * Thread-safety: any thread. */
dt_raw_t *dt_raw_open(const char *path, GError **error);

/** The XMP packet embedded in a DNG that is whole (transfer full), without a look at its samples; or NULL. */
GBytes *dt_raw_read_xmp(const char *path);

/** Frees the raw. NULL is fine. */
void dt_raw_free(dt_raw_t *raw);

/** What is known of the camera's colours: under several lights, or the matrix alone. */
void dt_raw_get_colour(const dt_raw_t *raw, dt_camera_colour_t *colour);

/** 3×3, row-major: normalised camera RGB, white balanced by dividing by raw->neutral, to linear Rec.709 (D65), as
 * dt_camera_to_rec709() has it for that white. Equal parts of all stay equal. Where the matrix is missing, or cannot be
 * inverted, and of four colours: the unit matrix, and FALSE. */
gboolean dt_raw_camera_to_rec709(const dt_raw_t *raw, float matrix[9]);

/** The same for as many colours as the sensor has, three (3×3) or four (3×4, the pseudo-inverse: of all colours that
 * look so to the camera the one nearest to black).
 *
 * @param matrix  room for 9 or 12 */
gboolean dt_raw_colours_to_rec709(const dt_raw_t *raw, float *matrix);

#endif
