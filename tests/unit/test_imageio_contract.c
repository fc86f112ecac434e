/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The metadata contract of doc/metadata.md, judged by gexiv2: a sample with every kind of metadata goes from every
 * format into every format, and back. Every tag is there afterwards with the same value, but those that the contract
 * names. */
#include "test_imageio_util.h"

#include "imageio/exif.h"

#include <gexiv2/gexiv2.h>

#define TEXT_LATIN1 "J\xfcrgen"
#define TEXT_UTF8 "Zo\xc3\xab \xe2\x80\x94 \xe5\x86\x99\xe7\x9c\x9f \xf0\x9f\x93\xb7"

typedef struct _tag_t
{
  const char *name, *value;
} _tag_t;

/** What a photograph may say about itself. */
static const _tag_t _sample[] = {
  // the first directory
  { "Exif.Image.DocumentName", "roll 7" },
  { "Exif.Image.ImageDescription", TEXT_UTF8 },
  { "Exif.Image.Make", "NIKON CORPORATION" },
  { "Exif.Image.Model", "NIKON Z 8" },
  { "Exif.Image.PageName", "a page" },
  { "Exif.Image.XResolution", "2999999/10007" },
  { "Exif.Image.YResolution", "2999999/10007" },
  { "Exif.Image.ResolutionUnit", "2" },
  { "Exif.Image.Software", "Ver.02.01" },
  { "Exif.Image.DateTime", "2024:05:06 07:08:09" },
  { "Exif.Image.Artist", TEXT_LATIN1 },
  { "Exif.Image.HostComputer", "desk" },
  { "Exif.Image.Copyright", "(c) " TEXT_UTF8 },
  { "Exif.Image.Rating", "4" },
  { "Exif.Image.RatingPercent", "75" },
  { "Exif.Image.ImageID", "0123456789" },
  { "Exif.Image.XPTitle", "83 0 116 0 0 0" },
  { "Exif.Image.XPComment", "67 0 0 0" },
  { "Exif.Image.XPAuthor", "65 0 0 0" },
  { "Exif.Image.XPKeywords", "75 0 59 0 76 0 0 0" },
  { "Exif.Image.XPSubject", "85 0 0 0" },
  { "Exif.Image.Orientation", "8" },
  { "Exif.Image.UniqueCameraModel", "Nikon Z 8" },
  { "Exif.Image.CameraSerialNumber", "6000123" },
  { "Exif.Image.LensInfo", "240/10 700/10 4/1 4/1" },
  { "Exif.Image.OriginalRawFileName", "68 83 67 46 78 69 70" },
  { "Exif.Image.TimeZoneOffset", "2" },
  { "Exif.Image.ImageNumber", "17" },
  { "Exif.Image.SecurityClassification", "N" },
  { "Exif.Image.ImageHistory", "scanned" },
  { "Exif.Image.PrintImageMatching", "80 114 105 110 116 73 77 0 48 51 48 48 0 0 0 0" },
  // the exposure
  { "Exif.Photo.ExposureTime", "1/8000" },
  { "Exif.Photo.FNumber", "28/10" },
  { "Exif.Photo.ExposureProgram", "3" },
  { "Exif.Photo.SpectralSensitivity", "visible" },
  { "Exif.Photo.ISOSpeedRatings", "6400" },
  { "Exif.Photo.SensitivityType", "2" },
  { "Exif.Photo.StandardOutputSensitivity", "6400" },
  { "Exif.Photo.RecommendedExposureIndex", "6400" },
  { "Exif.Photo.ExifVersion", "48 50 51 50" },
  { "Exif.Photo.DateTimeOriginal", "2024:05:06 07:08:10" },
  { "Exif.Photo.DateTimeDigitized", "2024:05:06 07:08:10" },
  { "Exif.Photo.OffsetTime", "+02:00" },
  { "Exif.Photo.OffsetTimeOriginal", "+02:00" },
  { "Exif.Photo.OffsetTimeDigitized", "+02:00" },
  { "Exif.Photo.ComponentsConfiguration", "1 2 3 0" },
  { "Exif.Photo.CompressedBitsPerPixel", "4/1" },
  { "Exif.Photo.ShutterSpeedValue", "12965784/1000000" },
  { "Exif.Photo.ApertureValue", "2970854/1000000" },
  { "Exif.Photo.BrightnessValue", "-153/100" },
  { "Exif.Photo.ExposureBiasValue", "-2/3" },
  { "Exif.Photo.MaxApertureValue", "40/10" },
  { "Exif.Photo.SubjectDistance", "4294967295/1" },
  { "Exif.Photo.MeteringMode", "5" },
  { "Exif.Photo.LightSource", "0" },
  { "Exif.Photo.Flash", "16" },
  { "Exif.Photo.FocalLength", "350/10" },
  { "Exif.Photo.UserComment", "charset=Unicode " TEXT_UTF8 },
  { "Exif.Photo.SubSecTime", "07" },
  { "Exif.Photo.SubSecTimeOriginal", "42" },
  { "Exif.Photo.SubSecTimeDigitized", "42" },
  { "Exif.Photo.Temperature", "215/10" },
  { "Exif.Photo.FlashpixVersion", "48 49 48 48" },
  { "Exif.Photo.ColorSpace", "65535" },
  { "Exif.Photo.RelatedSoundFile", "A.WAV" },
  { "Exif.Photo.SubjectArea", "12 8 4 4" },
  { "Exif.Photo.FlashEnergy", "7/2" },
  { "Exif.Photo.FocalPlaneResolutionUnit", "3" },
  { "Exif.Photo.ExposureIndex", "6400/1" },
  { "Exif.Photo.SensingMethod", "2" },
  { "Exif.Photo.FileSource", "3" },
  { "Exif.Photo.SceneType", "1" },
  { "Exif.Photo.CFAPattern", "2 0 2 0 0 1 1 2" },
  { "Exif.Photo.CustomRendered", "1" },
  { "Exif.Photo.ExposureMode", "1" },
  { "Exif.Photo.WhiteBalance", "1" },
  { "Exif.Photo.DigitalZoomRatio", "1/1" },
  { "Exif.Photo.FocalLengthIn35mmFilm", "35" },
  { "Exif.Photo.SceneCaptureType", "3" },
  { "Exif.Photo.GainControl", "2" },
  { "Exif.Photo.Contrast", "0" },
  { "Exif.Photo.Saturation", "0" },
  { "Exif.Photo.Sharpness", "0" },
  { "Exif.Photo.SubjectDistanceRange", "3" },
  { "Exif.Photo.ImageUniqueID", "0123456789abcdef0123456789abcdef" },
  { "Exif.Photo.CameraOwnerName", TEXT_LATIN1 },
  { "Exif.Photo.BodySerialNumber", "6000123" },
  { "Exif.Photo.LensSpecification", "240/10 700/10 4/1 0/0" },
  { "Exif.Photo.LensMake", "NIKON" },
  { "Exif.Photo.LensModel", "NIKKOR Z 24-70mm f/4 S" },
  { "Exif.Photo.LensSerialNumber", "20012345" },
  { "Exif.Photo.MakerNote",
    "65 112 112 108 101 32 105 79 83 0 0 1 77 77 0 1 0 1 0 9 0 0 0 1 0 0 0 14 0 0 0 0" },
  { "Exif.Iop.InteroperabilityIndex", "R03" },
  { "Exif.Iop.InteroperabilityVersion", "48 49 48 48" },
  // where
  { "Exif.GPSInfo.GPSVersionID", "2 3 0 0" },
  { "Exif.GPSInfo.GPSLatitudeRef", "S" },
  { "Exif.GPSInfo.GPSLatitude", "33/1 51/1 297654321/10000000" },
  { "Exif.GPSInfo.GPSLongitudeRef", "W" },
  { "Exif.GPSInfo.GPSLongitude", "70/1 17/1 403/10" },
  { "Exif.GPSInfo.GPSAltitudeRef", "1" },
  { "Exif.GPSInfo.GPSAltitude", "1234567/1000" },
  { "Exif.GPSInfo.GPSTimeStamp", "5/1 8/1 1099/100" },
  { "Exif.GPSInfo.GPSSatellites", "04 07 09" },
  { "Exif.GPSInfo.GPSStatus", "A" },
  { "Exif.GPSInfo.GPSMeasureMode", "3" },
  { "Exif.GPSInfo.GPSDOP", "11/10" },
  { "Exif.GPSInfo.GPSSpeedRef", "K" },
  { "Exif.GPSInfo.GPSSpeed", "51/10" },
  { "Exif.GPSInfo.GPSTrackRef", "T" },
  { "Exif.GPSInfo.GPSTrack", "12345/100" },
  { "Exif.GPSInfo.GPSImgDirectionRef", "M" },
  { "Exif.GPSInfo.GPSImgDirection", "2718/100" },
  { "Exif.GPSInfo.GPSMapDatum", "WGS-84" },
  { "Exif.GPSInfo.GPSDestLatitudeRef", "N" },
  { "Exif.GPSInfo.GPSDestLatitude", "1/1 2/1 3/1" },
  { "Exif.GPSInfo.GPSDestLongitudeRef", "E" },
  { "Exif.GPSInfo.GPSDestLongitude", "4/1 5/1 6/1" },
  { "Exif.GPSInfo.GPSDestBearingRef", "T" },
  { "Exif.GPSInfo.GPSDestBearing", "90/1" },
  { "Exif.GPSInfo.GPSDestDistanceRef", "K" },
  { "Exif.GPSInfo.GPSDestDistance", "10/1" },
  { "Exif.GPSInfo.GPSProcessingMethod", "charset=Ascii GPS" },
  { "Exif.GPSInfo.GPSAreaInformation", "charset=Ascii somewhere" },
  { "Exif.GPSInfo.GPSDateStamp", "2024:05:06" },
  { "Exif.GPSInfo.GPSDifferential", "0" },
  // agencies
  { "Iptc.Envelope.CharacterSet", "\033%G" },
  { "Iptc.Application2.ObjectName", TEXT_UTF8 },
  { "Iptc.Application2.Urgency", "3" },
  { "Iptc.Application2.Category", "ART" },
  { "Iptc.Application2.SpecialInstructions", "none" },
  { "Iptc.Application2.DateCreated", "2024-05-06" },
  { "Iptc.Application2.TimeCreated", "07:08:10+02:00" },
  { "Iptc.Application2.Byline", TEXT_UTF8 },
  { "Iptc.Application2.BylineTitle", "photographer" },
  { "Iptc.Application2.City", "Santiago" },
  { "Iptc.Application2.SubLocation", "Lastarria" },
  { "Iptc.Application2.ProvinceState", "RM" },
  { "Iptc.Application2.CountryCode", "CHL" },
  { "Iptc.Application2.CountryName", "Chile" },
  { "Iptc.Application2.Headline", "A headline" },
  { "Iptc.Application2.Credit", "credit" },
  { "Iptc.Application2.Source", "source" },
  { "Iptc.Application2.Copyright", "(c)" },
  { "Iptc.Application2.Contact", "mail" },
  { "Iptc.Application2.Caption", "line one\nline two" },
  { "Iptc.Application2.Writer", "writer" },
  // XMP
  { "Xmp.xmp.Rating", "4" },
  { "Xmp.xmp.Label", "Red" },
  { "Xmp.xmp.CreateDate", "2024-05-06T07:08:10.42+02:00" },
  { "Xmp.xmp.ModifyDate", "2024-05-06T07:08:09+02:00" },
  { "Xmp.xmp.CreatorTool", "darktable 4.6.1" },
  { "Xmp.xmpMM.DocumentID", "xmp.did:4f9ea5d5" },
  { "Xmp.xmpMM.DerivedFrom", "DSC_0001.NEF" },
  { "Xmp.dc.title", "lang=\"x-default\" " TEXT_UTF8 },
  { "Xmp.dc.rights", "lang=\"x-default\" (c)" },
  { "Xmp.photoshop.City", "Santiago" },
  { "Xmp.photoshop.DateCreated", "2024-05-06T07:08:10" },
  { "Xmp.photoshop.Headline", "<A & \"B\" 'C'>" },
  { "Xmp.crs.Exposure2012", "+0.35" },
  { "Xmp.crs.HasSettings", "True" },
  { "Xmp.exifEX.LensModel", "NIKKOR Z 24-70mm f/4 S" },
  { "Xmp.aux.SerialNumber", "6000123" },
  { "Xmp.tiff.Make", "NIKON CORPORATION" },
  { "Xmp.exif.GPSLatitude", "33,51.4961S" },
  { "Xmp.darktable.xmp_version", "5" },
  { "Xmp.darktable.raw_params", "0" },
  { "Xmp.darktable.history_end", "2" },
};

static const _tag_t _lists[] = {
  { "Iptc.Application2.Keywords", "street;night;" TEXT_UTF8 },
  { "Xmp.dc.subject", "street;night;" TEXT_UTF8 },
  { "Xmp.dc.creator", TEXT_UTF8 },
  { "Xmp.lr.hierarchicalSubject", "what|street;when|night" },
};

/** Structures as darktable keeps its history, opaque to all others. */
static const _tag_t _history[] = {
  { "Xmp.darktable.history[1]/darktable:operation", "exposure" },
  { "Xmp.darktable.history[1]/darktable:params", "00000000000080bf00000000cdcccc3d" },
  { "Xmp.darktable.history[2]/darktable:operation", "denoiseprofile" },
  { "Xmp.darktable.history[2]/darktable:params",
    "gz04eJxjYGBgYAFiCQYYOOHEgAZY0QWAgBGLGANDgz0Ej1Q+dlAx68oBEMbFxwX+AwGIBgCbGCeh" },
};

/** What says how pixels are stored, not what they show: it is the new file's. */
static const char *const _not_carried[] = {
  "Exif.Image.NewSubfileType",  "Exif.Image.ImageWidth",          "Exif.Image.ImageLength",
  "Exif.Image.BitsPerSample",   "Exif.Image.Compression",         "Exif.Image.PhotometricInterpretation",
  "Exif.Image.StripOffsets",    "Exif.Image.SamplesPerPixel",     "Exif.Image.RowsPerStrip",
  "Exif.Image.StripByteCounts", "Exif.Image.PlanarConfiguration", "Exif.Image.Predictor",
  "Exif.Image.SampleFormat",    "Exif.Image.InterColorProfile",   "Exif.Image.XMLPacket",
  "Exif.Image.IPTCNAA",         "Exif.Image.ImageResources",      "Exif.Image.ExifTag",
  "Exif.Image.GPSTag",          "Exif.Photo.InteroperabilityTag", "Exif.MakerNote.Offset",
};

/** What is corrected. */
static const char *const _corrected[] = {
  "Exif.Image.Software",
  "Exif.Photo.PixelXDimension",
  "Exif.Photo.PixelYDimension",
  "Exif.Iop.RelatedImageWidth",
  "Exif.Iop.RelatedImageLength",
  "Exif.Photo.FocalPlaneXResolution",
  "Exif.Photo.FocalPlaneYResolution",
  "Xmp.tiff.ImageWidth",
  "Xmp.tiff.ImageLength",
  "Xmp.exif.PixelXDimension",
  "Xmp.exif.PixelYDimension",
};

static const char *const _formats[] = { "tif", "png", "jpg" };

enum
{
  WIDTH = 24,
  HEIGHT = 16,
};

static const dt_provenance_t _stamp = {
  .task = "denoise", .model = "a-model", .model_hash = "0123", .strength = 80, .scale = 1, .version = "9.9"
};

// --- The sample

static float *_make_rows(int width, int height)
{
  float *rows = g_new(float, (size_t)width *(size_t)height * 3);
  for(int i = 0; i < width * height * 3; i++) rows[i] = (float)(i % 97) / 96.0f;
  return rows;
}

static GExiv2Metadata *_open(const char *path)
{
  GError *error = NULL;
  GExiv2Metadata *metadata = gexiv2_metadata_new();
  gexiv2_metadata_open_path(metadata, path, &error);
  assert_no_error(error);
  return metadata;
}

static void _set(GExiv2Metadata *metadata, const char *name, const char *value)
{
  GError *error = NULL;
  gexiv2_metadata_try_set_tag_string(metadata, name, value, &error);
  if(error) fail_msg("%s cannot be set: %s", name, error->message);
}

static void _set_lists(GExiv2Metadata *metadata)
{
  GError *error = NULL;
  for(size_t i = 0; i < G_N_ELEMENTS(_lists); i++)
  {
    char **values = g_strsplit(_lists[i].value, ";", -1);
    gexiv2_metadata_try_set_tag_multiple(metadata, _lists[i].name, (const char **)values, &error);
    assert_no_error(error);
    g_strfreev(values);
  }
  gexiv2_metadata_try_set_xmp_tag_struct(metadata, "Xmp.darktable.history", GEXIV2_STRUCTURE_XA_SEQ, &error);
  assert_no_error(error);
  for(size_t i = 0; i < G_N_ELEMENTS(_history); i++) _set(metadata, _history[i].name, _history[i].value);
}

/** The numbers that will have to be corrected, all of them wrong. */
static void _set_sizes(GExiv2Metadata *metadata)
{
  _set(metadata, "Exif.Photo.PixelXDimension", "12");
  _set(metadata, "Exif.Photo.PixelYDimension", "8");
  _set(metadata, "Exif.Photo.FocalPlaneXResolution", "5000000/21947");
  _set(metadata, "Exif.Photo.FocalPlaneYResolution", "228/1");
  _set(metadata, "Exif.Iop.RelatedImageWidth", "12");
  _set(metadata, "Exif.Iop.RelatedImageLength", "8");
  _set(metadata, "Xmp.tiff.ImageWidth", "12");
  _set(metadata, "Xmp.tiff.ImageLength", "8");
  _set(metadata, "Xmp.exif.PixelXDimension", "12");
  _set(metadata, "Xmp.exif.PixelYDimension", "8");
}

/** Anything of a JPEG will do as a thumbnail. */
static void _set_thumbnail(GExiv2Metadata *metadata)
{
  GError *error = NULL;
  float *rows = _make_rows(16, 12);
  char *data;
  gsize size;
  write_picture(in_directory("thumbnail.jpg"), 16, 12, 3, rows,
                &(dt_imageio_write_opts_t){ .overwrite = TRUE }, &error);
  assert_no_error(error);
  assert_true(g_file_get_contents(in_directory("thumbnail.jpg"), &data, &size, NULL));
  gexiv2_metadata_try_set_exif_thumbnail_from_buffer(metadata, (guint8 *)data, (gint)size, &error);
  assert_no_error(error);
  char *text = g_base64_encode((guchar *)data, size);
  gexiv2_metadata_try_set_xmp_tag_struct(metadata, "Xmp.xmp.Thumbnails", GEXIV2_STRUCTURE_XA_ALT, &error);
  assert_no_error(error);
  _set(metadata, "Xmp.xmp.Thumbnails[1]/xmpGImg:image", text);
  _set(metadata, "Iptc.Application2.PreviewFormat", "11");
  g_free(text);
  g_free(data);
  g_free(rows);
}

/** A picture with everything. */
static void _write_sample(const char *path, gboolean thumbnails)
{
  GError *error = NULL;
  float *rows = _make_rows(WIDTH, HEIGHT);
  const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE, .profile = "display-p3" };
  write_picture(path, WIDTH, HEIGHT, 3, rows, &opts, &error);
  assert_no_error(error);
  g_free(rows);
  GExiv2Metadata *metadata = _open(path);
  for(size_t i = 0; i < G_N_ELEMENTS(_sample); i++) _set(metadata, _sample[i].name, _sample[i].value);
  _set_lists(metadata);
  _set_sizes(metadata);
  if(thumbnails) _set_thumbnail(metadata);
  gexiv2_metadata_save_file(metadata, path, &error);
  assert_no_error(error);
  g_object_unref(metadata);
}

// --- The comparison

/** Passes a picture through as the program does, enlarged @p scale times. */
static char *_pass(const char *from, const char *to, int scale, const dt_provenance_t *stamp)
{
  GError *error = NULL;
  char *note = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(from, NULL, &error);
  assert_no_error(error);
  const int width = reader->source.width * scale, height = reader->source.height * scale;
  float *rows = _make_rows(width, height);
  const dt_imageio_write_opts_t opts = {
    .bits = 8, .overwrite = TRUE, .metadata = &reader->metadata, .provenance = stamp, .note = &note
  };
  write_picture(to, width, height, 3, rows, &opts, &error);
  assert_no_error(error);
  dt_row_source_destroy(&reader->source);
  g_free(rows);
  return note;
}

static char *_get(GExiv2Metadata *metadata, const char *name)
{
  char **values = gexiv2_metadata_try_get_tag_multiple(metadata, name, NULL);
  char *text =
      values && *values ? g_strjoinv("\n", values) : gexiv2_metadata_try_get_tag_string(metadata, name, NULL);
  g_strfreev(values);
  return text;
}

static gboolean _is_in(const char *const *names, size_t n, const char *name)
{
  for(size_t i = 0; i < n; i++)
    if(strcmp(names[i], name) == 0) return TRUE;
  return FALSE;
}

/** Every tag of @p before is in @p after with the same value. Returns how many there were. */
static int _compare_kind(char **names, GExiv2Metadata *before, GExiv2Metadata *after, const char *path)
{
  int count = 0;
  for(char **name = names; *name; name++)
  {
    if(_is_in(_not_carried, G_N_ELEMENTS(_not_carried), *name)
       || _is_in(_corrected, G_N_ELEMENTS(_corrected), *name))
      continue;
    char *want = _get(before, *name), *got = _get(after, *name);
    if(g_strcmp0(want, got) != 0) fail_msg("%s: %s is \"%s\", not \"%s\"", path, *name, got, want);
    count++;
    g_free(want);
    g_free(got);
  }
  g_strfreev(names);
  return count;
}

static int _compare(const char *from, const char *to)
{
  GExiv2Metadata *before = _open(from), *after = _open(to);
  const int count = _compare_kind(gexiv2_metadata_get_exif_tags(before), before, after, to)
                    + _compare_kind(gexiv2_metadata_get_iptc_tags(before), before, after, to)
                    + _compare_kind(gexiv2_metadata_get_xmp_tags(before), before, after, to);
  g_object_unref(before);
  g_object_unref(after);
  return count;
}

static void _assert_tag(const char *path, const char *name, const char *want)
{
  GExiv2Metadata *metadata = _open(path);
  char *got = gexiv2_metadata_try_get_tag_string(metadata, name, NULL);
  if(g_strcmp0(got, want) != 0) fail_msg("%s: %s is \"%s\", not \"%s\"", path, name, got, want);
  g_free(got);
  g_object_unref(metadata);
}

static void _assert_sizes(const char *path, int scale)
{
  static const char *const widths[] = { "Exif.Photo.PixelXDimension", "Exif.Iop.RelatedImageWidth",
                                        "Xmp.tiff.ImageWidth", "Xmp.exif.PixelXDimension" };
  static const char *const heights[] = { "Exif.Photo.PixelYDimension", "Exif.Iop.RelatedImageLength",
                                         "Xmp.tiff.ImageLength", "Xmp.exif.PixelYDimension" };
  char width[16], height[16];
  g_snprintf(width, sizeof(width), "%d", WIDTH * scale);
  g_snprintf(height, sizeof(height), "%d", HEIGHT * scale);
  for(size_t i = 0; i < G_N_ELEMENTS(widths); i++) _assert_tag(path, widths[i], width);
  for(size_t i = 0; i < G_N_ELEMENTS(heights); i++) _assert_tag(path, heights[i], height);
}

static void _assert_icc(const char *path)
{
  GError *error = NULL;
  GBytes *icc = dt_profile_load("display-p3", 3, NULL);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  assert_true(g_bytes_equal(reader->metadata.icc, icc));
  assert_int_equal(reader->metadata.orientation, 8);
  dt_row_source_destroy(&reader->source);
  g_bytes_unref(icc);
}

// --- Tests

static void test_every_tag_between_all_formats(void **state)
{
  (void)state;
  for(size_t f = 0; f < G_N_ELEMENTS(_formats); f++)
    for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
    {
      char from[32], to[32], again[32];
      g_snprintf(from, sizeof(from), "from.%s", _formats[f]);
      g_snprintf(to, sizeof(to), "to.%s", _formats[t]);
      g_snprintf(again, sizeof(again), "again.%s", _formats[f]);
      _write_sample(in_directory(from), FALSE);
      assert_null(_pass(in_directory(from), in_directory(to), 1, &_stamp));
      assert_true(_compare(in_directory(from), in_directory(to)) >= 170);
      _assert_sizes(in_directory(to), 1);
      _assert_icc(in_directory(to));
      assert_null(_pass(in_directory(to), in_directory(again), 2, NULL));
      assert_true(_compare(in_directory(to), in_directory(again)) >= 180); // with the stamp
      _assert_sizes(in_directory(again), 2);
      _assert_icc(in_directory(again));
    }
}

/** Without anything to write down, the software stays; with it, the old name moves. */
static void test_software(void **state)
{
  (void)state;
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    char name[32];
    g_snprintf(name, sizeof(name), "software.%s", _formats[t]);
    const char *path = in_directory(name);
    _write_sample(in_directory("from.jpg"), FALSE);
    g_free(_pass(in_directory("from.jpg"), path, 1, NULL));
    _assert_tag(path, "Exif.Image.Software", "Ver.02.01");
    g_free(_pass(in_directory("from.jpg"), path, 1, &_stamp));
    _assert_tag(path, "Exif.Image.Software", "darktable-ai 9.9");
    _assert_tag(path, "Xmp.xmp.CreatorTool", "darktable 4.6.1");
    _assert_tag(path, "Xmp.dtai.steps[1]/dtai:previousSoftware", "Ver.02.01");
    _assert_tag(path, "Xmp.xmpMM.History[1]/stEvt:softwareAgent", "darktable-ai 9.9");
    // of a picture without metadata as well
    float *rows = _make_rows(4, 4);
    const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE, .provenance = &_stamp };
    write_picture(path, 4, 4, 3, rows, &opts, NULL);
    _assert_tag(path, "Exif.Image.Software", "darktable-ai 9.9");
    _assert_tag(path, "Xmp.dtai.steps[1]/dtai:model", "a-model");
    g_free(rows);
  }
}

static void test_pixels_per_millimetre_follow_the_size(void **state)
{
  (void)state;
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    char name[32];
    g_snprintf(name, sizeof(name), "plane.%s", _formats[t]);
    _write_sample(in_directory("from.jpg"), FALSE); // says 12 pixels, has 24
    g_free(_pass(in_directory("from.jpg"), in_directory(name), 2, NULL));
    _assert_tag(in_directory(name), "Exif.Photo.FocalPlaneXResolution", "20000000/21947");
    _assert_tag(in_directory(name), "Exif.Photo.FocalPlaneYResolution", "912/1");
  }
}

/** No preview of the picture as it was before is left anywhere. */
static void test_no_stale_previews(void **state)
{
  (void)state;
  for(size_t f = 0; f < G_N_ELEMENTS(_formats); f++)
    for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
    {
      char from[32], to[32];
      g_snprintf(from, sizeof(from), "preview.%s", _formats[f]);
      g_snprintf(to, sizeof(to), "nopreview.%s", _formats[t]);
      _write_sample(in_directory(from), TRUE);
      g_free(_pass(in_directory(from), in_directory(to), 1, &_stamp));
      GExiv2Metadata *metadata = _open(in_directory(to));
      guint8 *left = NULL;
      gint size = 0;
      assert_false(gexiv2_metadata_get_exif_thumbnail(metadata, &left, &size));
      char **names = gexiv2_metadata_get_exif_tags(metadata);
      for(char **name = names; *name; name++) assert_false(g_str_has_prefix(*name, "Exif.Thumbnail."));
      g_strfreev(names);
      names = gexiv2_metadata_get_xmp_tags(metadata);
      for(char **name = names; *name; name++) assert_false(g_str_has_prefix(*name, "Xmp.xmp.Thumbnails"));
      g_strfreev(names);
      assert_false(gexiv2_metadata_try_has_tag(metadata, "Iptc.Application2.PreviewFormat", NULL));
      assert_true(gexiv2_metadata_try_has_tag(metadata, "Iptc.Application2.Byline", NULL));
      g_object_unref(metadata);
    }
}

/** Two texts in one, which C would end at the first. */
static void test_copyright_of_two(void **state)
{
  (void)state;
  static const char both[] = "photographer\0editor";
  dt_exif_t *exif = dt_exif_create();
  dt_exif_set_bytes(exif, DT_IFD_MAIN, 33432, DT_TYPE_ASCII, sizeof(both), g_bytes_new(both, sizeof(both)));
  dt_metadata_t metadata = { .exif = dt_exif_to_bytes(exif), .orientation = 1 };
  float *rows = _make_rows(4, 4);
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    GError *error = NULL;
    char name[32];
    g_snprintf(name, sizeof(name), "copyright.%s", _formats[t]);
    const dt_imageio_write_opts_t opts = {
      .bits = 8, .overwrite = TRUE, .metadata = &metadata, .provenance = &_stamp
    };
    write_picture(in_directory(name), 4, 4, 3, rows, &opts, &error);
    assert_no_error(error);
    dt_imageio_reader_t *reader = dt_imageio_open(in_directory(name), NULL, &error);
    assert_no_error(error);
    dt_exif_t *back = dt_exif_read_bytes(reader->metadata.exif);
    const dt_exif_entry_t *entry = dt_exif_find(back, DT_IFD_MAIN, 33432);
    assert_int_equal(g_bytes_get_size(entry->value), sizeof(both));
    assert_memory_equal(g_bytes_get_data(entry->value, NULL), both, sizeof(both));
    dt_exif_destroy(back);
    dt_row_source_destroy(&reader->source);
  }
  g_free(rows);
  dt_exif_destroy(exif);
  dt_metadata_clear(&metadata);
}

/** The directory of a BigTIFF, which gexiv2 cannot open: what was there and what is added. */
static void test_big_tiff_directory(void **state)
{
  (void)state;
  static const char artist[] = "somebody", model[] = "a longer name than eight";
  static const guint8 head[16] = { 'I', 'I', 43, 0, 8, 0, 0, 0, 16 };
  static const guint8 table[40] = {
    0x0f, 1, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 'm', 'e', 0, 0, 0, 0, 0, 0, // Make
    0x12, 1, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 6,   0,   0, 0, 0, 0, 0, 0
  }; // Orientation
  if(G_BYTE_ORDER != G_LITTLE_ENDIAN) skip();
  dt_exif_t *exif = dt_exif_create();
  dt_exif_set_bytes(exif, DT_IFD_MAIN, 315, DT_TYPE_ASCII, sizeof(artist),
                    g_bytes_new(artist, sizeof(artist)));
  dt_exif_set_bytes(exif, DT_IFD_MAIN, 272, DT_TYPE_ASCII, sizeof(model), g_bytes_new(model, sizeof(model)));
  dt_exif_set_number(exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, DT_TYPE_SHORT, 1);
  GBytes *directory = dt_exif_extend_directory(exif, table, 2, 16, TRUE);
  GByteArray *file = g_byte_array_new();
  gsize size;
  const guint8 *data = g_bytes_get_data(directory, &size);
  g_byte_array_append(file, head, sizeof(head));
  g_byte_array_append(file, data, (guint)size);
  GBytes *bytes = g_byte_array_free_to_bytes(file);
  dt_exif_t *back = dt_exif_read_bytes(bytes);
  assert_int_equal(back->ifds[DT_IFD_MAIN]->len, 4);
  assert_string_equal(g_bytes_get_data(dt_exif_find(back, DT_IFD_MAIN, 271)->value, NULL), "me");
  assert_string_equal(g_bytes_get_data(dt_exif_find(back, DT_IFD_MAIN, 272)->value, NULL), model);
  assert_string_equal(g_bytes_get_data(dt_exif_find(back, DT_IFD_MAIN, 315)->value, NULL), artist);
  assert_true(dt_exif_get_number(back, DT_IFD_MAIN, DT_TAG_ORIENTATION, 0.0) == 6.0); // what was there counts
  dt_exif_destroy(back);
  dt_exif_destroy(exif);
  g_bytes_unref(bytes);
  g_bytes_unref(directory);
}

/** Steps are appended, and what was there stays as it is. */
static void test_steps_add_up(void **state)
{
  (void)state;
  const dt_provenance_t second = { .task = "upscale", .model = "other", .strength = 100, .scale = 2 };
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    char one[32], two[32];
    g_snprintf(one, sizeof(one), "one.%s", _formats[t]);
    g_snprintf(two, sizeof(two), "two.%s", _formats[(t + 1) % 3]);
    _write_sample(in_directory("from.tif"), FALSE);
    g_free(_pass(in_directory("from.tif"), in_directory(one), 1, &_stamp));
    g_free(_pass(in_directory(one), in_directory(two), 2, &second));
    _assert_tag(in_directory(two), "Xmp.dtai.steps[1]/dtai:task", "denoise");
    _assert_tag(in_directory(two), "Xmp.dtai.steps[1]/dtai:strength", "80");
    _assert_tag(in_directory(two), "Xmp.dtai.steps[2]/dtai:task", "upscale");
    _assert_tag(in_directory(two), "Xmp.dtai.steps[2]/dtai:scale", "2");
    _assert_tag(in_directory(two), "Xmp.xmpMM.History[2]/stEvt:action", "edited");
    _assert_tag(in_directory(two), "Xmp.xmpMM.DocumentID", "xmp.did:4f9ea5d5");
    _assert_tag(in_directory(two), "Exif.Image.Software", "darktable-ai");
  }
}

/** What another program has rewritten in its own style is understood as well. */
static void test_stamp_survives_other_programs(void **state)
{
  (void)state;
  GError *error = NULL;
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    char name[32];
    g_snprintf(name, sizeof(name), "edited.%s", _formats[t]);
    _write_sample(in_directory("from.jpg"), FALSE);
    g_free(_pass(in_directory("from.jpg"), in_directory(name), 1, &_stamp));
    GExiv2Metadata *metadata = _open(in_directory(name));
    _set(metadata, "Xmp.xmp.Label", "Blue");
    gexiv2_metadata_save_file(metadata, in_directory(name), &error);
    assert_no_error(error);
    g_object_unref(metadata);
    dt_imageio_reader_t *reader = dt_imageio_open(in_directory(name), NULL, &error);
    assert_no_error(error);
    GPtrArray *steps = dt_provenance_read(reader->metadata.xmp);
    assert_int_equal(steps->len, 1);
    const dt_provenance_t *step = steps->pdata[0];
    assert_string_equal(step->task, "denoise");
    assert_string_equal(step->model_hash, "0123");
    assert_true(step->strength == 80.0 && step->scale == 1.0);
    g_ptr_array_unref(steps);
    dt_row_source_destroy(&reader->source);
    g_free(_pass(in_directory(name), in_directory("edited-again.tif"), 1, &_stamp));
    _assert_tag(in_directory("edited-again.tif"), "Xmp.dtai.steps[2]/dtai:task", "denoise");
  }
}

int main(void)
{
  gexiv2_initialize();
  gexiv2_log_set_level(GEXIV2_LOG_LEVEL_MUTE);
  gexiv2_metadata_try_register_xmp_namespace("http://darktable.sf.net/", "darktable", NULL);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_tag_between_all_formats),
    cmocka_unit_test(test_software),
    cmocka_unit_test(test_pixels_per_millimetre_follow_the_size),
    cmocka_unit_test(test_no_stale_previews),
    cmocka_unit_test(test_copyright_of_two),
    cmocka_unit_test(test_big_tiff_directory),
    cmocka_unit_test(test_steps_add_up),
    cmocka_unit_test(test_stamp_survives_other_programs),
  };
  return cmocka_run_group_tests_name("imageio_contract", tests, make_directory, remove_directory);
}
