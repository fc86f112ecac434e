/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What has been done to a picture, written down in its XMP: which task, which model, how much.
 *
 * Each step is an item of dtai:steps, in our own namespace for this program to read, and an event of xmpMM:History
 * for all others. Steps are in the order in which they were done. The same picture and the same settings give the
 * same bytes: a date is written only when the environment's SOURCE_DATE_EPOCH says which.
 */
#ifndef DT_IMAGEIO_PROVENANCE_H
#define DT_IMAGEIO_PROVENANCE_H

#include <glib.h>

G_BEGIN_DECLS

/** The namespace of the stamp, and the name before its version in EXIF's and TIFF's Software. */
#define DT_PROVENANCE_NS "urn:x-darktable-ai:restore:1.0#"
#define DT_PROVENANCE_SOFTWARE "darktable-ai"

/** One step; any text may be NULL. */
typedef struct dt_provenance_t
{
  const char *task;       ///< "denoise" or "upscale"
  const char *model;      ///< its id
  const char *model_hash; ///< SHA-256 of the model's file, 64 hexadecimal digits
  double strength;        ///< percent
  const char *mask;       ///< SHA-256 of the file that said where less was done
  double sigma;           ///< the noise level the model was told, 0: none
  double scale;           ///< how many times as wide as before
  double black,
      white; ///< the levels of the original's samples, where the result has others; both 0: not told
  const char *version; ///< of this program
} dt_provenance_t;

/** @p xmp with one more step; what else is in it stays as it is.
 *
 * @param xmp  a packet, or NULL: a new one is made
 * @param previous_software  what EXIF named so far, or NULL: it is kept as xmp:CreatorTool, or when another name is
 *        there already as dtai:previousSoftware of this step
 * @return transfer full; NULL when the packet is damaged, or what is to be extended has another form: then it is
 *         better carried without a stamp */
GBytes *dt_provenance_stamp(GBytes *xmp, const dt_provenance_t *provenance, const char *previous_software);

/** The steps in a packet, in order: an array of dt_provenance_t (transfer full, never NULL).
 * @param xmp  NULL: no steps */
GPtrArray *dt_provenance_read(GBytes *xmp);

/** "darktable-ai 1.2.3" (transfer full). */
char *dt_provenance_software(const dt_provenance_t *provenance);

G_END_DECLS

#endif
