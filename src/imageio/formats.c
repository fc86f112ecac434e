/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formats: what each is called, how it is recognised, and who reads and writes it. Some are read by libraries that
 * a build may do without; it still knows their names, to say what is missing. */
#include "imageio/imageio_internal.h"

#include <string.h>

#ifdef DT_WITH_OPENEXR
#define EXR_OPEN dt_exr_decoder_create
#define EXR_CREATE dt_exr_encoder_create
#else
#define EXR_OPEN NULL
#define EXR_CREATE NULL
#endif
#ifdef DT_WITH_WEBP
#define WEBP_OPEN dt_webp_decoder_create
#else
#define WEBP_OPEN NULL
#endif
#ifdef DT_WITH_JXL
#define JXL_OPEN dt_jxl_decoder_create
#else
#define JXL_OPEN NULL
#endif
#ifdef DT_WITH_HEIF
#define HEIF_OPEN dt_heif_decoder_create
#else
#define HEIF_OPEN NULL
#endif

#ifdef DT_WITH_LIBRAW
#define RAWS "; rawdenoise: camera raws in, DNG out"
#else
#define RAWS "; camera raws: not built in"
#endif

static const dt_format_t _formats[] = {
  { .format = DT_IMAGEIO_TIFF,
    .name = "TIFF",
    .option = "tiff",
    .extensions = { ".tif", ".tiff" },
    .writable = TRUE,
    .open = dt_tiff_decoder_create,
    .create = dt_tiff_encoder_create },
  { .format = DT_IMAGEIO_PNG,
    .name = "PNG",
    .option = "png",
    .extensions = { ".png" },
    .writable = TRUE,
    .in_order = TRUE,
    .open = dt_png_decoder_create,
    .create = dt_png_encoder_create },
  { .format = DT_IMAGEIO_JPEG,
    .name = "JPEG",
    .option = "jpeg",
    .extensions = { ".jpg", ".jpeg", ".jpe" },
    .writable = TRUE,
    .in_order = TRUE,
    .open = dt_jpeg_decoder_create,
    .create = dt_jpeg_encoder_create },
  { .format = DT_IMAGEIO_PFM,
    .name = "PFM",
    .option = "pfm",
    .extensions = { ".pfm" },
    .writable = TRUE,
    .open = dt_pfm_decoder_create,
    .create = dt_pfm_encoder_create },
  { .format = DT_IMAGEIO_EXR,
    .name = "OpenEXR",
    .option = "exr",
    .extensions = { ".exr" },
    .library = "OpenEXR",
    .writable = TRUE,
    .open = EXR_OPEN,
    .create = EXR_CREATE },
  { .format = DT_IMAGEIO_WEBP,
    .name = "WebP",
    .option = "webp",
    .extensions = { ".webp" },
    .library = "libwebp",
    .open = WEBP_OPEN },
  { .format = DT_IMAGEIO_JXL,
    .name = "JPEG XL",
    .option = "jxl",
    .extensions = { ".jxl" },
    .library = "libjxl",
    .open = JXL_OPEN },
  { .format = DT_IMAGEIO_HEIF,
    .name = "HEIF/AVIF",
    .option = "heif",
    .extensions = { ".heic", ".heif", ".avif", ".hif" },
    .library = "libheif",
    .open = HEIF_OPEN },
};

const dt_format_t *dt_format_get(dt_imageio_format_t format)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_formats); i++)
    if(_formats[i].format == format) return &_formats[i];
  return NULL;
}

// --- By content

/** Whether one of the brands of an ISO media file is one of pictures. */
static gboolean _has_picture_brand(const guint8 *head, size_t size)
{
  static const char brands[] = "mif1 mif2 msf1 miaf heic heix heim heis hevc hevx avif avis";
  const size_t box = (size_t)head[2] << 8 | head[3];
  for(size_t at = 8; at + 4 <= MIN(size, box);
      at += at == 8 ? 8 : 4) // behind the major brand stands its version
  {
    char brand[5] = { 0 };
    memcpy(brand, head + at, 4);
    if(strlen(brand) == 4 && !strchr(brand, ' ') && strstr(brands, brand)) return TRUE;
  }
  return FALSE;
}

static gboolean _is_jxl(const guint8 *head)
{
  static const guint8 box[12] = { 0, 0, 0, 12, 'J', 'X', 'L', ' ', '\r', '\n', 0x87, '\n' };
  return (head[0] == 0xff && head[1] == 0x0a) || memcmp(head, box, sizeof(box)) == 0;
}

static gboolean _is_tiff(const guint8 *head)
{
  static const char *const marks[] = { "II*\0", "MM\0*", "II+\0", "MM\0+" };
  for(size_t i = 0; i < G_N_ELEMENTS(marks); i++)
    if(memcmp(head, marks[i], 4) == 0) return TRUE;
  return FALSE;
}

dt_imageio_format_t dt_format_recognise(const dt_input_t *input)
{
  guint8 head[128] = { 0 }; // what a short file lacks is zero
  const size_t size = dt_input_read(input, 0, head, sizeof(head));
  if(memcmp(head, "\xff\xd8\xff", 3) == 0) return DT_IMAGEIO_JPEG;
  if(memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0) return DT_IMAGEIO_PNG;
  if(_is_tiff(head)) return DT_IMAGEIO_TIFF;
  if(head[0] == 'P' && (head[1] == 'F' || head[1] == 'f') && g_ascii_isspace(head[2])) return DT_IMAGEIO_PFM;
  if(memcmp(head, "\x76\x2f\x31\x01", 4) == 0) return DT_IMAGEIO_EXR;
  if(memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0) return DT_IMAGEIO_WEBP;
  if(_is_jxl(head)) return DT_IMAGEIO_JXL;
  if(memcmp(head + 4, "ftyp", 4) == 0 && _has_picture_brand(head, size)) return DT_IMAGEIO_HEIF;
  return DT_IMAGEIO_UNKNOWN;
}

// --- By name

dt_imageio_format_t dt_imageio_format_for_name(const char *path)
{
  const char *dot = path ? strrchr(path, '.') : NULL;
  for(size_t i = 0; dot && i < G_N_ELEMENTS(_formats); i++)
    for(const char *const *extension = _formats[i].extensions; *extension; extension++)
      if(g_ascii_strcasecmp(dot, *extension) == 0) return _formats[i].format;
  return DT_IMAGEIO_UNKNOWN;
}

dt_imageio_format_t dt_imageio_format_for_option(const char *option)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_formats); i++)
    if(_formats[i].writable && strcmp(option, _formats[i].option) == 0) return _formats[i].format;
  return DT_IMAGEIO_UNKNOWN;
}

const char *dt_imageio_extension(dt_imageio_format_t format)
{
  const dt_format_t *found = dt_format_get(format);
  return found ? found->extensions[0] : "";
}

// --- In words

/** Joins the names of the formats that are (not) built in and (not) written. */
static char *_join(gboolean built_in, gboolean writable)
{
  GString *text = g_string_new(NULL);
  for(size_t i = 0; i < G_N_ELEMENTS(_formats); i++)
    if((_formats[i].open != NULL) == built_in && (_formats[i].writable == writable || !built_in))
      g_string_append_printf(text, "%s%s", text->len ? ", " : "", _formats[i].name);
  return g_string_free(text, FALSE);
}

char *dt_imageio_describe_formats(void)
{
  char *both = _join(TRUE, TRUE), *read = _join(TRUE, FALSE), *none = _join(FALSE, FALSE);
  char *text = g_strconcat(both, *read ? "; read only: " : "", read, *none ? "; not built in: " : "", none,
                           RAWS, NULL);
  g_free(none);
  g_free(read);
  g_free(both);
  return text;
}
