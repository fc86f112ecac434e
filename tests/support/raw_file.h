/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Raws of the tests' own making: uncompressed DNGs of any filter array, with any tags.
 *
 *   test_raw_t *raw = test_raw_new("RGGB", 64, 48, 14);   // with levels, a matrix and a neutral
 *   raw->samples[0] = 512;
 *   test_raw_set(raw, TEST_RAW_MAIN, 50728, DT_TYPE_RATIONAL, 3, (double[]){ 0.5, 1, 0.7 });
 *   test_raw_write(raw, path);
 *   test_raw_free(raw);
 */
#ifndef DT_TESTS_RAW_FILE_H
#define DT_TESTS_RAW_FILE_H

#include "imageio/exif.h"

/** Samples that are not whole numbers: test_raw_t.bits. */
#define TEST_RAW_HALF (-16)

/** TIFF's types that only tests write by name. */
enum
{
  TEST_TYPE_UNDEFINED = 7,
  TEST_TYPE_FLOAT = 11,
  TEST_TYPE_DOUBLE = 12,
};

/** Where a tag stands. */
typedef enum test_raw_place_t
{
  TEST_RAW_MAIN,
  TEST_RAW_PICTURE, ///< the raw's own directory: the main one, unless sub_ifd
  TEST_RAW_EXIF,
  TEST_RAW_GPS,
  TEST_RAW_PLACES,
} test_raw_place_t;

typedef struct test_raw_t
{
  int width, height; ///< of all that is stored
  int bits;          ///< 8 to 16, or TEST_RAW_HALF
  int per_pixel;     ///< samples: 1, 3 with "LINEAR"
  float *samples;    ///< height × width × per_pixel, all 0 at first; rounded when bits are
  gboolean big_endian;
  gboolean sub_ifd; ///< the raw stands in a SubIFD, as most cameras and programs have it
  GArray *tags[TEST_RAW_PLACES];
} test_raw_t;

/** A DNG with black 64 and white the largest number (half: 0 and 1), a matrix (sRGB's), the neutral 0.5, 1, 0.7, camera
 * "Testmaker Model 1".
 *
 * @param pattern  the filter array row by row, 4 or 36 letters of RGBE…, "LINEAR" or "MONO" */
test_raw_t *test_raw_new(const char *pattern, int width, int height, int bits);
void test_raw_free(test_raw_t *raw);

/** Fills all samples with seeded noise between black and white. */
void test_raw_fill(test_raw_t *raw, uint32_t seed);

/** Sets a tag, in place of one that is there, to numbers of the type. Fractions are given as what they come to. */
void test_raw_set(test_raw_t *raw, test_raw_place_t place, uint16_t tag, uint16_t type, uint32_t count,
                  const double *values);
/** The same for one number, a text, and any bytes of TEST_TYPE_UNDEFINED. */
void test_raw_set_number(test_raw_t *raw, test_raw_place_t place, uint16_t tag, uint16_t type, double value);
void test_raw_set_text(test_raw_t *raw, test_raw_place_t place, uint16_t tag, const char *text);
void test_raw_set_bytes(test_raw_t *raw, test_raw_place_t place, uint16_t tag, const void *bytes,
                        size_t size);
void test_raw_remove(test_raw_t *raw, test_raw_place_t place, uint16_t tag);

/** The visible area: top, left, bottom, right. */
void test_raw_set_active(test_raw_t *raw, int top, int left, int bottom, int right);

/** The file's bytes (transfer full), and the same as a file. */
GByteArray *test_raw_build(const test_raw_t *raw);
void test_raw_write(const test_raw_t *raw, const char *path);

/** A world for a group of tests and its end, and the path of a file in it (kept for good). @{ */
int test_raw_set_up(void **state);
int test_raw_tear_down(void **state);
const char *test_raw_path(const char *name);
/** @} */

#endif
