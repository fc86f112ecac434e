/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * From the colours of a camera to linear Rec.709, under the light that the white balance stands for.
 */
#ifndef DT_COMMON_CAMERA_COLOUR_H
#define DT_COMMON_CAMERA_COLOUR_H

#include <glib.h>

G_BEGIN_DECLS

/** As many as DNG has matrices for. */
#define DT_CAMERA_LIGHTS 3

/** What is known of a camera under one light. */
typedef struct dt_camera_light_t
{
  double kelvin;        ///< correlated colour temperature of the light
  double matrix[4][3];  ///< XYZ to camera, rows red, green, blue, fourth: as DNG's ColorMatrix
  gboolean has_forward; ///< of all lights, or of none
  double forward[3]
                [3]; ///< of three colours, balanced: to XYZ as it would be under D50; as DNG's ForwardMatrix
} dt_camera_light_t;

typedef struct dt_camera_colour_t
{
  int colours;                               ///< 3 or 4
  int lights;                                ///< that are known, in any order; 0: nothing is
  dt_camera_light_t light[DT_CAMERA_LIGHTS]; ///< of several each has its kelvin, and no matrix is singular
} dt_camera_colour_t;

/** XYZ of D65 (x 0.3127, y 0.3290), Y 1. */
extern const double dt_camera_d65[3];

/** The camera's response to that light, of which something is known.
 * @param white  its XYZ */
void dt_camera_get_response(const dt_camera_colour_t *camera, const double white[3], double response[4]);

/** 3×3 (four colours: 3×4), row by row: camera colours, white balanced by dividing by @p neutral, to linear Rec.709 (D65).
 * Equal parts of all stay equal.
 *
 * The formulas are those of the DNG specification (chapter 6, "Mapping Camera Color Space to CIE XYZ Space"): what is known
 * of several lights is mixed for the temperature of the one in which @p neutral is white. Forward matrices say the rest,
 * where there are any; otherwise that white is adapted to D65 by Bradford's transform, and of four colours those are taken
 * that are nearest to black of all that look so to the camera. A white that no light has, as coefficients of 1 may give
 * it, is adapted from one between it and D65 that a light might have; the rest of the way is the balance's.
 *
 * @param neutral  the camera's response to white, of any size; what is not above 0: D65's
 * @param matrix   room for 9 or 12
 * @return FALSE with the matrix that changes nothing (of four colours: leaves the fourth out) when nothing is known, or
 *         nonsense */
gboolean dt_camera_to_rec709(const dt_camera_colour_t *camera, const double neutral[4], float *matrix);

G_END_DECLS

#endif
