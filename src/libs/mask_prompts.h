/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What is to be masked, as a person writes it: points and boxes in pixels or percent, from a command line or from a JSON
 * file that names several objects of one photograph.
 */
#ifndef DT_LIBS_MASK_PROMPTS_H
#define DT_LIBS_MASK_PROMPTS_H

#include "develop/masks/object.h"

/** Most objects in a file. */
#define DT_MASK_MAX_OBJECTS 1000

/** A coordinate: a pixel's number (0 is the middle of the first), or percent of the side (0 is its begin, 100 its end). */
typedef struct dt_mask_coordinate_t
{
  double value;
  gboolean percent;
} dt_mask_coordinate_t;

/** A point, or a box by two corners. */
typedef struct dt_mask_prompt_t
{
  gboolean is_box, background;
  dt_mask_coordinate_t at[4]; ///< x and y; of a box twice
} dt_mask_prompt_t;

/** What becomes of a mask. */
typedef enum dt_mask_kind_t
{
  DT_MASK_PICTURE, ///< grey, as the file lies
  DT_MASK_SVG,     ///< outlines, upright
  DT_MASK_PATHS,   ///< the same as JSON
  DT_MASK_CUTOUT,  ///< the photograph with the mask as alpha, as the file lies
  DT_MASK_OVERLAY, ///< a picture to look at, upright
  DT_MASK_KINDS,
} dt_mask_kind_t;

typedef struct dt_mask_output_t
{
  dt_mask_kind_t kind;
  char *path;
} dt_mask_output_t;

/** An object to be masked. */
typedef struct dt_mask_subject_t
{
  char *name;         ///< NULL: the only one
  GArray *prompts;    ///< of dt_mask_prompt_t
  char *rough;        ///< file of a rough mask, or NULL
  int candidate;      ///< from 1 on; 0: the model's best
  gboolean invert;    ///< the mask is of everything else
  GPtrArray *outputs; ///< of dt_mask_output_t
} dt_mask_subject_t;

/** @return transfer full */
dt_mask_subject_t *dt_mask_subject_new(const char *name);
void dt_mask_subject_free(dt_mask_subject_t *subject);
/** Whether there is anything to go by. */
gboolean dt_mask_subject_has_prompts(const dt_mask_subject_t *subject);
void dt_mask_subject_add_output(dt_mask_subject_t *subject, dt_mask_kind_t kind, const char *path);

/** What a name's ending says: SVG, PATHS (.json), else PICTURE. */
dt_mask_kind_t dt_mask_kind_for_name(const char *path);

/** Reads "812,400", "50%,40%" or "90,40,-" (background; + is foreground).
 * @return FALSE with DT_AI_ERROR_USAGE @{ */
gboolean dt_mask_parse_point(const char *text, dt_mask_prompt_t *prompt, GError **error);
/** Reads "10,10,400,300": two opposite corners. */
gboolean dt_mask_parse_box(const char *text, dt_mask_prompt_t *prompt, GError **error);
/** @} */

/** Reads objects from a JSON file:
 *
 *     {"objects":[{"name":"bird","points":[[812,400],["50%","40%"],[90,40,"-"]],"boxes":[[10,10,400,300]],
 *                  "rough":"scribble.png","candidate":2,"invert":false,"outputs":["bird.png","bird.svg"],
 *                  "cutouts":["bird-alone.png"],"overlays":["bird-over.png"]}]}
 *
 * Names are unique; files are relative to the JSON file's directory. Whatever else stands there is an error.
 *
 * @return of dt_mask_subject_t (transfer full, frees them), or NULL with DT_AI_ERROR_INPUT, which says where as in
 *         $.objects[0].points[1] */
GPtrArray *dt_mask_prompts_load(const char *path, GError **error);

/** Where a coordinate lies on a side of @p size pixels. */
double dt_mask_coordinate_resolve(dt_mask_coordinate_t coordinate, int size);
/** Whether there are not too many prompts, all lie in the picture, and the rough mask is there and of its shape.
 * @return FALSE with DT_AI_ERROR_INPUT, which says the picture's size */
gboolean dt_mask_subject_check(const dt_mask_subject_t *subject, const dt_photo_t *photo, GError **error);
/** Adds the prompts, the rough mask first, to @p object, which has none.
 * @return FALSE with the error of reading the rough mask or of adding */
gboolean dt_mask_subject_apply(const dt_mask_subject_t *subject, dt_object_t *object,
                               GCancellable *cancellable, GError **error);

#endif
