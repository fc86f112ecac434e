/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The tag directories of TIFF and EXIF, byte for byte.
 *
 * EXIF is a small TIFF structure: directories of tags, some of which point to more directories. This
 * reads them from a TIFF file (classic or BigTIFF) or from the blob inside a JPEG or PNG, without
 * interpreting values, and lays them out anew wherever they are to go. No value passes through a
 * float on the way, as it would in a TIFF library.
 */
#ifndef DT_IMAGEIO_EXIF_H
#define DT_IMAGEIO_EXIF_H

#include "imageio/imageio_internal.h"

enum
{
  DT_TAG_ORIENTATION = 274,
  DT_TAG_XRESOLUTION = 282,
  DT_TAG_YRESOLUTION = 283,
  DT_TAG_RESOLUTION_UNIT = 296,
  DT_TAG_SOFTWARE = 305,
  DT_TAG_XMP = 700,
  DT_TAG_IPTC = 33723,
  DT_TAG_PHOTOSHOP = 34377,
  DT_TAG_EXIF_IFD = 34665,
  DT_TAG_ICC = 34675,
  DT_TAG_GPS_IFD = 34853,
  DT_TAG_MAKER_NOTE = 37500,
  DT_TAG_PIXEL_WIDTH = 40962,
  DT_TAG_PIXEL_HEIGHT = 40963,
  DT_TAG_INTEROP_IFD = 40965,
};

/** TIFF's field types, as far as they are met by name. */
enum
{
  DT_TYPE_BYTE = 1,
  DT_TYPE_ASCII = 2,
  DT_TYPE_SHORT = 3,
  DT_TYPE_LONG = 4,
  DT_TYPE_RATIONAL = 5,
  DT_TYPE_UNDEFINED = 7,
  DT_TYPE_SRATIONAL = 10,
  DT_TYPE_DOUBLE = 12,
};

typedef enum dt_ifd_t
{
  DT_IFD_MAIN, ///< the picture's own directory
  DT_IFD_EXIF,
  DT_IFD_GPS,
  DT_IFD_INTEROP,
  DT_IFD_COUNT,
} dt_ifd_t;

typedef struct dt_exif_entry_t
{
  uint16_t tag, type;
  uint32_t count;
  uint64_t origin; ///< where the value stood, from the start of its TIFF structure
  GBytes *value;   ///< count values of the type, in the structure's byte order
} dt_exif_entry_t;

/** The directories of one picture; entries are sorted by tag. */
typedef struct dt_exif_t
{
  gboolean big_endian;
  GArray *ifds[DT_IFD_COUNT]; ///< of dt_exif_entry_t
  gboolean lost_profile;      ///< a colour profile is named, and its bytes are not there
} dt_exif_t;

/** A number of @p size bytes in the given byte order, and the way back. */
uint64_t dt_exif_get_uint(const uint8_t *bytes, int size, gboolean big_endian);
void dt_exif_put_uint(uint8_t *bytes, int size, gboolean big_endian, uint64_t value);
/** Bytes of one value of a TIFF type, 0 for an unknown type. */
size_t dt_exif_type_size(unsigned type);
/** Bytes of the numbers such a value consists of: what is turned round between byte orders. */
size_t dt_exif_word_size(unsigned type);
/** Order of entries in a directory, for g_array_sort(). */
int dt_exif_compare_entries(gconstpointer a, gconstpointer b);

/** Reads the directories of a TIFF file, its first page's; NULL when there are none to be read.
 * Tags that describe the storage of pixels, and those of no meaning outside, are left out. */
dt_exif_t *dt_exif_read_file(const dt_input_t *input);
/** The same from the TIFF structure of a JPEG or PNG. */
dt_exif_t *dt_exif_read_bytes(GBytes *bytes);
dt_exif_t *dt_exif_create(void);

/** Every directory of a TIFF structure as it stands, values included: the first, those it links to, and SubIFDs; but
 * not those that dt_exif_read_file() reads.
 *
 * @param base  where in the file the structure begins
 * @return (transfer full) of GArray of dt_exif_entry_t sorted by tag; empty when it is none. The value of an entry is
 *         NULL where it is not there, or of no known type */
GPtrArray *dt_exif_read_pages(const dt_input_t *input, uint64_t base, gboolean *big_endian);
/** An empty array of dt_exif_entry_t that unrefs their values. */
GArray *dt_exif_entries_new(void);
/** Another with the same values (transfer full); NULL: an empty one. */
dt_exif_t *dt_exif_copy(const dt_exif_t *exif);
void dt_exif_destroy(dt_exif_t *exif);

const dt_exif_entry_t *dt_exif_find(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag);
/** The same in any array of entries, of those that have a value; NULL has none. */
const dt_exif_entry_t *dt_exif_find_in(const GArray *entries, uint16_t tag);
/** Value @p i of an entry of BYTE, SHORT, LONG, RATIONAL or SRATIONAL, @p otherwise without one. */
double dt_exif_entry_number(const dt_exif_entry_t *entry, uint32_t i, gboolean big_endian, double otherwise);
/** The first value of such an entry. */
double dt_exif_get_number(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, double otherwise);
/** Removes and returns a value's bytes (transfer full), NULL when there is none. */
GBytes *dt_exif_steal(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag);
void dt_exif_remove(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag);
/** Sets a single SHORT or LONG. */
void dt_exif_set_number(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint16_t type, uint32_t value);

/** Sets a value of any type; takes @p value, which is in the structure's byte order. */
void dt_exif_set_bytes(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint16_t type, uint32_t count,
                       GBytes *value);

/** What has to be true in a new file. */
typedef struct dt_exif_facts_t
{
  uint32_t width, height; ///< of the picture in pixels
  int orientation;
  const char *software; ///< NULL: whatever is there
} dt_exif_facts_t;

/** Corrects size, orientation and software. What depends on the number of pixels per millimetre of the sensor is
 * scaled when the size is another. */
void dt_exif_correct(dt_exif_t *exif, const dt_exif_facts_t *facts);
/** The same in the structure of a JPEG or PNG, where everything else keeps its place; removes the thumbnail as well.
 * @return transfer full; NULL when its first directory cannot be read */
GBytes *dt_exif_correct_bytes(GBytes *bytes, const dt_exif_facts_t *facts);

/** Where the directories went. */
typedef struct dt_exif_layout_t
{
  uint64_t exif, gps;       ///< from the start of the target's structure, 0 = absent
  gboolean lost_maker_note; ///< one that depends on a byte order the target does not have
} dt_exif_layout_t;

/** Lays out EXIF, interoperability and GPS directories for a TIFF file in native byte order.
 *
 * @param base  the file offset at which the result will stand, a multiple of 8
 * @return the bytes, NULL when there is nothing */
GBytes *dt_exif_layout_for_tiff(const dt_exif_t *exif, uint64_t base, gboolean big_tiff,
                                dt_exif_layout_t *layout);
/** Adds the entries of the first directory to one that stands in a TIFF file; what that has already counts.
 *
 * @param table  its @p count entries as they stand in the file, in native byte order
 * @param base   where the result will stand, a multiple of 8
 * @return a directory with values behind it, to be used in place of the old one; NULL when nothing is to be added */
GBytes *dt_exif_extend_directory(const dt_exif_t *exif, const uint8_t *table, size_t count, uint64_t base,
                                 gboolean big_tiff);
/** Lays out the first directory alone, with everything in it, for a TIFF file in native byte order.
 *
 * @param base  the file offset at which the result will stand, a multiple of 8 */
GBytes *dt_exif_layout_directory(const dt_exif_t *exif, uint64_t base);
/** Lays out everything as the structure that JPEG and PNG carry. */
GBytes *dt_exif_to_bytes(const dt_exif_t *exif);

#endif
