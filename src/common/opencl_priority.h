/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Which OpenCL devices may serve which pixelpipe, and in which order: the string `opencl_device_priority`.
 *
 * It has a field for each of full, preview, export and thumbnail, and maybe preview2, separated by slashes. A field lists
 * devices by number or by name (case, blanks and punctuation do not matter), separated by commas; the first free one is
 * taken. `!` before a device excludes it, an asterisk stands for all devices not mentioned before it, an empty field
 * leaves the pipe to the CPU. A `+` at the start of a field makes the pipe wait for a device instead of going to the CPU.
 * Without a fifth field preview2, the second window, has what preview has.
 *
 * A word is the first device's in order whose name it is; or whose platform and name together, as newer strings have it;
 * or whose identity; or else a decimal number at its start. Names are compared by ASCII letters and digits alone. At most
 * 2047 letters, digits and signs count.
 *
 * Reading never fails: what means nothing is ignored, as darktable does, but every such token is remarked upon, up to a
 * bounded number. Nothing in here knows OpenCL; everything is pure and thread-safe, as is dt_opencl_priority_in_force(),
 * which reads settings.
 */
#ifndef DT_COMMON_OPENCL_PRIORITY_H
#define DT_COMMON_OPENCL_PRIORITY_H

#include <glib.h>

G_BEGIN_DECLS

/** The pixelpipes, in the order of the fields. */
typedef enum dt_opencl_pipe_t
{
  DT_OPENCL_FULL,      ///< what the main view shows
  DT_OPENCL_PREVIEW,   ///< the whole picture, small
  DT_OPENCL_EXPORT,    ///< to a file, full size
  DT_OPENCL_THUMBNAIL, ///< small pictures of many
  DT_OPENCL_PREVIEW2,  ///< a second window
  DT_OPENCL_PIPES,
} dt_opencl_pipe_t;

/** "full", "preview", "export", "thumbnail", "preview2". Static string. */
const char *dt_opencl_pipe_name(dt_opencl_pipe_t pipe);
/** The pipe of that name, or DT_OPENCL_PIPES. */
dt_opencl_pipe_t dt_opencl_pipe_from_name(const char *name);

/** How a device may be called in the string; compared by ASCII letters and digits alone, lower-cased. */
typedef struct dt_opencl_names_t
{
  const char *name;     ///< "GeForce GTS 450"; NULL: none
  const char *platform; ///< "NVIDIA CUDA": newer strings write it before the name; NULL: none
  const char *identity; ///< "pci:0000:01:00.0", "Tahiti#2": tells twins apart; NULL: none
} dt_opencl_names_t;

/** The devices of one pipe. */
typedef struct dt_opencl_order_t
{
  int *devices; ///< numbers from 0, best first
  int n;
  gboolean mandatory; ///< waits for one of them
} dt_opencl_order_t;

/** What is worth a word about a string. */
typedef enum dt_opencl_remark_kind_t
{
  DT_OPENCL_REMARK_UNKNOWN,        ///< no device has that name or number
  DT_OPENCL_REMARK_REPEATED,       ///< named before in the field, or excluded
  DT_OPENCL_REMARK_AFTER_WILDCARD, ///< nothing is left behind a `*`
  DT_OPENCL_REMARK_NOTHING,        ///< empty tokens in a row, a lone `!`, a `!*`
  DT_OPENCL_REMARK_TRAILING,       ///< what follows a number or a `*`: "0*", "1abc", "*foo"
  DT_OPENCL_REMARK_PLUS,           ///< a `+` that does not stand at the start, or has no device to wait for
  DT_OPENCL_REMARK_TWINS,          ///< several devices have the name, the first is meant
  DT_OPENCL_REMARK_FIELDS,         ///< fields missing, or more than five
  DT_OPENCL_REMARK_DELETED, ///< what does not count changed what is read: "-1", "1 0", or is all there is
  DT_OPENCL_REMARK_LENGTH,  ///< everything behind 2047 bytes
  DT_OPENCL_REMARK_CPU,     ///< a field that is not empty leaves no device, or there is none at all
} dt_opencl_remark_kind_t;

typedef struct dt_opencl_remark_t
{
  dt_opencl_remark_kind_t kind;
  dt_opencl_pipe_t pipe; ///< DT_OPENCL_PIPES: about the whole string
  gsize offset, length;  ///< of the token in the string as it was given, in bytes
  gboolean harmless;     ///< what users mean nevertheless happens: preview2 missing, a trailing comma
  char *text; ///< a clause: the token, the reason, "did you mean" where a name is near; printable UTF-8
} dt_opencl_remark_t;

typedef struct dt_opencl_priorities_t
{
  char *text; ///< as given
  dt_opencl_order_t orders[DT_OPENCL_PIPES];
  GPtrArray *remarks; ///< of dt_opencl_remark_t *, by offset; at most 52
} dt_opencl_priorities_t;

/** Reads @p text for these devices.
 * @param text     any bytes, also no UTF-8; NULL is the empty string
 * @param devices  @p n of them, numbered from 0
 * @return never NULL; free with dt_opencl_priorities_free() */
dt_opencl_priorities_t *dt_opencl_priorities_parse(const char *text, const dt_opencl_names_t *devices, int n);
void dt_opencl_priorities_free(dt_opencl_priorities_t *priorities);

/** The string in force (transfer full): of the setting `opencl_device_priority`, or of the scheduling profile, which
 * leaves the setting alone.
 * @param why  receives (transfer full) where it comes from, as a clause: "your opencl_device_priority in darktablerc" */
char *dt_opencl_priority_in_force(char **why);

/** ASCII letters and digits of @p name (NULL: none), lower-cased (transfer full): how names are compared. */
char *dt_opencl_canonical_name(const char *name);

G_END_DECLS

#endif
