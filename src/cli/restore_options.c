/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What denoise, upscale and rawdenoise can be asked for, on the command line. */
#include "cli/restore_options.h"
#include "common/conf.h"
#include "libs/batch.h"
#include "libs/output_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* a number the user did not give; what he gives is checked, 0 as well */
#define UNSET G_MININT

static struct
{
  char *output, *model, *provider, *memory, *compression, *icc, *assume, *progress, *size, *mask, *format,
      *intent, *kind, *depth;
  int bits, quality, threads, long_edge;
  double sigma, scale, strength;
  gboolean preserve_gamut, overwrite, force, skip_existing, dry_run, json, pass_through, no_dither;
} _opt = { .bits = UNSET,
           .quality = UNSET,
           .threads = UNSET,
           .sigma = UNSET,
           .scale = UNSET,
           .strength = UNSET,
           .long_edge = UNSET,
           .preserve_gamut = TRUE };

static struct
{
  char *journal, *shard;
  gboolean recursive, resume, keep_going, fail_fast;
} _batch;

#define BATCH_ENTRIES                                                                                         \
  {                                                                                                           \
    "recursive", 'r', 0, G_OPTION_ARG_NONE, &_batch.recursive, "of a directory, those below it as well", NULL \
  },                                                                                                          \
      { "keep-going",                                                                                         \
        0,                                                                                                    \
        0,                                                                                                    \
        G_OPTION_ARG_NONE,                                                                                    \
        &_batch.keep_going,                                                                                   \
        "a file that fails does not end the batch (default)",                                                 \
        NULL },                                                                                               \
      { "fail-fast", 0, 0, G_OPTION_ARG_NONE, &_batch.fail_fast, "the first that fails does", NULL },         \
      { "resume",                                                                                             \
        0,                                                                                                    \
        0,                                                                                                    \
        G_OPTION_ARG_NONE,                                                                                    \
        &_batch.resume,                                                                                       \
        "keep a journal, and go on with what it says is not done",                                            \
        NULL },                                                                                               \
      { "journal",                                                                                            \
        0,                                                                                                    \
        0,                                                                                                    \
        G_OPTION_ARG_FILENAME,                                                                                \
        &_batch.journal,                                                                                      \
        "keep it in this file (with --resume the default is one in the cache)",                               \
        "FILE" },                                                                                             \
  {                                                                                                           \
    "shard", 0, 0, G_OPTION_ARG_STRING, &_batch.shard, "only this part of the files: 1/4 to 4/4", "I/N"       \
  }

/* entries in one macro are put together with commas, so that a table reads as its parts */
#define STRENGTH_ENTRIES(words)                                                                              \
  { "strength", 0, 0, G_OPTION_ARG_DOUBLE, &_opt.strength, words, "P" },                                     \
  {                                                                                                          \
    "mask", 0, 0, G_OPTION_ARG_FILENAME, &_opt.mask,                                                         \
        "a grey picture of the same size: strength times 0 where it is black, times 1 where it is white",    \
        "FILE"                                                                                               \
  }

#define DENOISE_ENTRIES                                                                                      \
  STRENGTH_ENTRIES("0 to 100 (default): below it texture returns, chroma noise does not"),                   \
  {                                                                                                          \
    "sigma", 0, 0, G_OPTION_ARG_DOUBLE, &_opt.sigma,                                                         \
        "noise level 1 to 255, for models that take one (default 25)", "S"                                   \
  }

#define UPSCALE_ENTRIES                                                                                      \
  { "scale",                                                                                                 \
    0,                                                                                                       \
    0,                                                                                                       \
    G_OPTION_ARG_DOUBLE,                                                                                     \
    &_opt.scale,                                                                                             \
    "so many times the size, above 1 to 16 (default 2); what the model cannot do itself is resampled",       \
    "F" },                                                                                                   \
      { "long-edge", 0, 0, G_OPTION_ARG_INT, &_opt.long_edge, "make the longer side so long", "PIXELS" },    \
  {                                                                                                          \
    "size", 0, 0, G_OPTION_ARG_STRING, &_opt.size, "as large as fits into this, in shape", "WxH"             \
  }

#define RAW_ENTRIES                                                                                          \
  STRENGTH_ENTRIES("0 (the sensor's own samples) to 100 (the model's, default); between them a mixture"),    \
      { "output-kind",                                                                                       \
        0,                                                                                                   \
        0,                                                                                                   \
        G_OPTION_ARG_STRING,                                                                                 \
        &_opt.kind,                                                                                          \
        "of a DNG: linear (default), demosaicked by the model, or cfa, a mosaic again as the camera's",      \
        "K" },                                                                                               \
      { "format",                                                                                            \
        0,                                                                                                   \
        0,                                                                                                   \
        G_OPTION_ARG_STRING,                                                                                 \
        &_opt.format,                                                                                        \
        "dng (default), tiff or exr (linear Rec. 2020), where the name does not tell it",                    \
        "F" },                                                                                               \
      { "bit-depth", 0,                                                                                      \
        0,           G_OPTION_ARG_STRING,                                                                    \
        &_opt.depth, "DNG: 16 (default) or half; TIFF: 16 or 32 (default); OpenEXR: half (default) or 32",   \
        "N" },                                                                                               \
  {                                                                                                          \
    "compression", 0, 0, G_OPTION_ARG_STRING, &_opt.compression,                                             \
        "DNG: lj92 (default; of half floats deflate) or none; TIFF: deflate-predictor (default), deflate, "  \
        "none",                                                                                              \
        "C"                                                                                                  \
  }

#define PICTURE_ENTRIES                                                                                      \
  { "format",                                                                                                \
    0,                                                                                                       \
    0,                                                                                                       \
    G_OPTION_ARG_STRING,                                                                                     \
    &_opt.format,                                                                                            \
    "tiff, png, jpeg, pfm or exr, where the name does not tell it",                                          \
    "F" },                                                                                                   \
      { "bit-depth", 0, 0, G_OPTION_ARG_INT, &_opt.bits, "8, 16 or 32 (float)", "N" },                       \
      { "compression",                                                                                       \
        0,                                                                                                   \
        0,                                                                                                   \
        G_OPTION_ARG_STRING,                                                                                 \
        &_opt.compression,                                                                                   \
        "TIFF: none, deflate, deflate-predictor (default)",                                                  \
        "C" },                                                                                               \
      { "quality", 0, 0, G_OPTION_ARG_INT, &_opt.quality, "JPEG quality 1 to 100 (default 95)", "Q" },       \
      { "assume-profile",                                                                                    \
        0,                                                                                                   \
        0,                                                                                                   \
        G_OPTION_ARG_FILENAME,                                                                               \
        &_opt.assume,                                                                                        \
        "read the input with this profile instead of its own",                                               \
        "PROFILE" },                                                                                         \
      { "intent",                                                                                            \
        0,                                                                                                   \
        0,                                                                                                   \
        G_OPTION_ARG_STRING,                                                                                 \
        &_opt.intent,                                                                                        \
        "relative (default) or perceptual, for output profiles with tables",                                 \
        "I" },                                                                                               \
      { "no-dither", 0, 0, G_OPTION_ARG_NONE, &_opt.no_dither, "round to 8 bits without dither", NULL },     \
      { "preserve-wide-gamut",                                                                               \
        0,                                                                                                   \
        0,                                                                                                   \
        G_OPTION_ARG_NONE,                                                                                   \
        &_opt.preserve_gamut,                                                                                \
        "keep colours outside sRGB and highlights above white (default)",                                    \
        NULL },                                                                                              \
  {                                                                                                          \
    "no-preserve-wide-gamut", 0, G_OPTION_FLAG_REVERSE, G_OPTION_ARG_NONE, &_opt.preserve_gamut,             \
        "clip them", NULL                                                                                    \
  }

#define COMMON_ENTRIES                                                                                         \
  { "output",                                                                                                  \
    'o',                                                                                                       \
    0,                                                                                                         \
    G_OPTION_ARG_FILENAME,                                                                                     \
    &_opt.output,                                                                                              \
    "a file, a directory, a pattern, or - for stdout; default: {dir}/{name}_{task}.{ext}",                     \
    "PATH" },                                                                                                  \
      { "model", 0, 0, G_OPTION_ARG_STRING, &_opt.model, "use this model instead of the active one", "ID" },   \
      { "provider", 0, 0, G_OPTION_ARG_STRING, &_opt.provider, "run on this execution provider or not at all", \
        "P" },                                                                                                 \
      { "memory",                                                                                              \
        0,                                                                                                     \
        0,                                                                                                     \
        G_OPTION_ARG_STRING,                                                                                   \
        &_opt.memory,                                                                                          \
        "stay within this much memory, e.g. 2G (default: a quarter of what is free)",                          \
        "SIZE" },                                                                                              \
      { "icc",                                                                                                 \
        0,                                                                                                     \
        0,                                                                                                     \
        G_OPTION_ARG_FILENAME,                                                                                 \
        &_opt.icc,                                                                                             \
        "output colour profile: a file, or srgb, adobergb, prophoto, rec2020, display-p3 (also with "          \
        "-linear)",                                                                                            \
        "PROFILE" },                                                                                           \
      { "threads", 0, 0, G_OPTION_ARG_INT, &_opt.threads, "threads for the network", "N" },                    \
      { "overwrite", 0, 0, G_OPTION_ARG_NONE, &_opt.overwrite, "replace existing outputs", NULL },             \
      { "force", 0, 0, G_OPTION_ARG_NONE, &_opt.force, "also files that this was done to already", NULL },     \
      { "skip-existing", 0, 0, G_OPTION_ARG_NONE, &_opt.skip_existing, "leave existing outputs alone", NULL }, \
      { "dry-run", 0, 0, G_OPTION_ARG_NONE, &_opt.dry_run, "print the plan and write nothing", NULL },         \
      { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print one JSON object per file", NULL },                 \
      { "progress",                                                                                            \
        0,                                                                                                     \
        0,                                                                                                     \
        G_OPTION_ARG_STRING,                                                                                   \
        &_opt.progress,                                                                                        \
        "auto (a bar on a terminal), bar, plain, json or none",                                                \
        "MODE" },                                                                                              \
      { "bench-pass-through", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &_opt.pass_through, NULL, NULL },    \
  {                                                                                                            \
    NULL, 0, 0, 0, NULL, NULL, NULL                                                                            \
  }

static const GOptionEntry _denoise_entries[] = { DENOISE_ENTRIES, PICTURE_ENTRIES, BATCH_ENTRIES,
                                                 COMMON_ENTRIES };
static const GOptionEntry _upscale_entries[] = { UPSCALE_ENTRIES, PICTURE_ENTRIES, BATCH_ENTRIES,
                                                 COMMON_ENTRIES };
static const GOptionEntry _raw_entries[] = { RAW_ENTRIES, BATCH_ENTRIES, COMMON_ENTRIES };

static const char _denoise_examples[] =
    "Examples:\n"
    "  darktable-ai denoise photo.jpg                     writes photo_denoise.tif\n"
    "  darktable-ai denoise -o out/ *.tif                 a batch into a directory\n"
    "  darktable-ai denoise -r --resume -o 'out/{relative}/{name}.{ext}' photos\n"
    "  darktable-ai denoise --memory 1G -o clean.png noisy.png\n"
    "  darktable-ai denoise --dry-run photo.jpg           tiles, overlap, memory, provider";

static const char _raw_examples[] =
    "Examples:\n"
    "  darktable-ai rawdenoise IMG_1234.CR2               writes IMG_1234_rawdenoise.dng\n"
    "  darktable-ai rawdenoise --strength 80 -o out/ *.nef\n"
    "  darktable-ai rawdenoise --output-kind cfa -o night.dng night.arw\n"
    "  darktable-ai rawdenoise --format exr *.dng         linear Rec. 2020, half floats\n"
    "  darktable-ai rawdenoise --dry-run photo.raf        the sensor, tiles, memory, provider";

static const char _upscale_examples[] =
    "Examples:\n"
    "  darktable-ai upscale photo.jpg                     twice the size, photo_upscale.tif\n"
    "  darktable-ai upscale --scale 4 -o large.tif small.tif\n"
    "  darktable-ai upscale --long-edge 6000 *.jpg        for a print\n"
    "  darktable-ai upscale --dry-run photo.jpg           tiles, overlap, memory, provider";

/* A command's options and words. */
typedef struct _task_t
{
  const char *name, *summary, *examples;
  const GOptionEntry *entries;
} _task_t;

static const _task_t _tasks[] = {
  { "denoise", "Removes noise from photographs (TIFF, PNG, JPEG, OpenEXR, …). The originals are not touched.",
    _denoise_examples, _denoise_entries },
  { "upscale",
    "Enlarges photographs (TIFF, PNG, JPEG, OpenEXR, …), with plausible detail. The originals are not "
    "touched.",
    _upscale_examples, _upscale_entries },
  { "rawdenoise",
    "Removes noise from camera raws before they are developed, and demosaics them. The originals are not "
    "touched.",
    _raw_examples, _raw_entries },
};

static const _task_t *_find_task(const char *name)
{
  const _task_t *task = _tasks;
  while(strcmp(task->name, name) != 0) task++;
  return task;
}

static gboolean _usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _usage(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  *error = g_error_new_valist(DT_AI_ERROR, DT_AI_ERROR_USAGE, format, args);
  va_end(args);
  return FALSE;
}

static gboolean _is_raw_job(const dt_restore_job_t *job)
{
  return strcmp(job->task, "rawdenoise") == 0;
}

/* What only raws are asked for. */
static gboolean _parse_raw(dt_restore_job_t *job, GError **error)
{
  const char *depth = _opt.depth ? _opt.depth : "";
  job->kind = g_strcmp0(_opt.kind, "cfa") == 0 ? DT_DNG_CFA : DT_DNG_LINEAR;
  if(_opt.kind && job->kind != DT_DNG_CFA && strcmp(_opt.kind, "linear") != 0)
    return _usage(error, "--output-kind takes linear or cfa.");
  job->half = strcmp(depth, "half") == 0;
  if(strcmp(depth, "16") == 0 || strcmp(depth, "32") == 0) job->bits = depth[0] == '1' ? 16 : 32;
  return !*depth || job->half || job->bits || _usage(error, "--bit-depth takes 16, 32 or half.");
}

static gboolean _parse_compression(const dt_restore_job_t *job, dt_imageio_compression_t *compression)
{
  static const char *const names[] = {
    [DT_IMAGEIO_DEFLATE_PREDICTOR] = "deflate-predictor",
    [DT_IMAGEIO_DEFLATE] = "deflate",
    [DT_IMAGEIO_UNCOMPRESSED] = "none",
  };
  if(!_opt.compression || (_is_raw_job(job) && strcmp(_opt.compression, "lj92") == 0)) return TRUE;
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
    if(strcmp(_opt.compression, names[i]) == 0)
    {
      *compression = (dt_imageio_compression_t)i;
      return TRUE;
    }
  return FALSE;
}

static gboolean _parse_intent(dt_imageio_intent_t *intent)
{
  if(!_opt.intent || strcmp(_opt.intent, "relative") == 0) return TRUE;
  *intent = DT_IMAGEIO_PERCEPTUAL;
  return strcmp(_opt.intent, "perceptual") == 0;
}

/* What the formats of raws are called; UNKNOWN is DNG. */
static gboolean _parse_raw_format(const char *name, dt_imageio_format_t *format)
{
  *format = dt_imageio_format_for_option(name);
  return *format == DT_IMAGEIO_TIFF || *format == DT_IMAGEIO_EXR || strcmp(name, "dng") == 0;
}

static gboolean _has_dng_name(const char *name)
{
  const char *dot = strrchr(name, '.');
  return dot && g_ascii_strcasecmp(dot, ".dng") == 0;
}

/* The format that -o names, UNKNOWN where it names none. */
static dt_imageio_format_t _get_named_format(const dt_restore_job_t *job)
{
  const gboolean named = job->output && !g_file_test(job->output, G_FILE_TEST_IS_DIR);
  return named ? dt_imageio_format_for_name(job->output) : DT_IMAGEIO_UNKNOWN;
}

static gboolean _parse_format(dt_restore_job_t *job, GError **error)
{
  if(!_opt.format) return TRUE;
  if(_is_raw_job(job) && !_parse_raw_format(_opt.format, &job->format))
    return _usage(error, "--format takes dng, tiff or exr.");
  if(!_is_raw_job(job) && !(job->format = dt_imageio_format_for_option(_opt.format)))
    return _usage(error, "--format takes tiff, png, jpeg, pfm or exr.");
  const dt_imageio_format_t told = _get_named_format(job);
  const gboolean is_dng = _is_raw_job(job) && job->output && _has_dng_name(job->output);
  if(is_dng ? !job->format : !told || told == job->format) return TRUE;
  return _usage(error, "--format %s and the name %s contradict each other; choose one.", _opt.format,
                job->output);
}

/* What is asked of a raw's result can be had in its format. */
static gboolean _check_raw_format(const dt_restore_job_t *job, GError **error)
{
  const dt_imageio_format_t format = job->format ? job->format : _get_named_format(job);
  const char *packing = _opt.compression ? _opt.compression : "none", *own = job->half ? "deflate" : "lj92";
  if(format && job->kind == DT_DNG_CFA)
    return _usage(error, "--output-kind cfa takes a DNG for its result: a TIFF or OpenEXR is no mosaic.");
  if(format && strcmp(packing, "lj92") == 0)
    return _usage(error, "--compression lj92 is for a DNG. A TIFF takes none, deflate or deflate-predictor.");
  if(format == DT_IMAGEIO_TIFF && job->half)
    return _usage(error, "--bit-depth half is for a DNG or OpenEXR. A TIFF takes 16 or 32.");
  if(format) return TRUE;
  if(job->bits == 32)
    return _usage(error, "--bit-depth 32 is for a TIFF or OpenEXR. A DNG takes 16 or half.");
  if(strcmp(packing, "none") != 0 && strcmp(packing, own) != 0)
    return _usage(error, "--compression %s is not for a DNG%s, which takes %s or none.", packing,
                  job->half ? " of half floats" : "", own);
  if(job->profile)
    return _usage(error, "--icc is for a TIFF or OpenEXR: a DNG has the camera's own colours. Leave it out.");
  return TRUE;
}

/* --- streams --- */

static gboolean _is_stream(const char *path)
{
  return g_strcmp0(path, DT_IMAGEIO_STREAM) == 0;
}

static gboolean _check_streams(const dt_cli_restore_t *r, GError **error)
{
  for(int i = 0; i < r->n_files; i++)
    if(_is_stream(r->files[i]) && !r->job.output)
      return _usage(
          error, "Say where the picture from the standard input is to go: -o FILE, or -o - for the standard "
                 "output.");
  return !_is_stream(r->job.output) || r->dry_run || dt_cli_check_stdout(r->json, error);
}

/* What is asked for here is wanted or nothing; the setting may fall back. */
static gboolean _parse_provider(dt_restore_load_opts_t *load, GError **error)
{
  if(!_opt.provider) return TRUE;
  load->provider = dt_ai_provider_from_string(_opt.provider);
  load->strict = TRUE;
  if(dt_ai_provider_is_known(_opt.provider)) return TRUE;
  return _usage(error, "There is no execution provider \"%s\". See: darktable-ai providers", _opt.provider);
}

static gboolean _parse_target(dt_restore_target_t *target, GError **error)
{
  const int given = (_opt.scale != UNSET) + (_opt.long_edge != UNSET) + (_opt.size != NULL);
  if(given > 1) return _usage(error, "--scale, --long-edge and --size contradict each other; choose one.");
  if(_opt.scale != UNSET && !(_opt.scale > 1 && _opt.scale <= 16))
    return _usage(error, "--scale takes a factor above 1, to 16.");
  if(_opt.long_edge != UNSET && _opt.long_edge < 1)
    return _usage(error, "--long-edge takes a positive number of pixels.");
  target->scale = _opt.scale != UNSET ? _opt.scale : 0;
  target->long_edge = MAX(_opt.long_edge, 0);
  if(!_opt.size) return TRUE;
  char **sides = g_strsplit_set(_opt.size, "xX", 2);
  guint64 width = 0, height = 0;
  const gboolean ok = sides[0] && sides[1]
                      && g_ascii_string_to_unsigned(sides[0], 10, 1, 1000000, &width, NULL)
                      && g_ascii_string_to_unsigned(sides[1], 10, 1, 1000000, &height, NULL);
  g_strfreev(sides);
  target->width = (int)width;
  target->height = (int)height;
  return ok || _usage(error, "--size takes two numbers of pixels such as 6000x4000.");
}

static gboolean _check_numbers(GError **error)
{
  if(_opt.sigma != UNSET && !(_opt.sigma >= 1 && _opt.sigma <= 255))
    return _usage(error, "--sigma takes a noise level from 1 to 255.");
  if(_opt.strength != UNSET && !(_opt.strength >= 0 && _opt.strength <= 100))
    return _usage(error, "--strength takes 0 (the original) to 100 (the model's result).");
  if(_opt.bits != UNSET && _opt.bits != 8 && _opt.bits != 16 && _opt.bits != 32)
    return _usage(error, "--bit-depth takes 8, 16 or 32.");
  if(_opt.quality != UNSET && (_opt.quality < 1 || _opt.quality > 100))
    return _usage(error, "--quality takes 1 to 100.");
  if(_opt.threads != UNSET && _opt.threads < 1) return _usage(error, "--threads takes a positive number.");
  return TRUE;
}

static gboolean _check_batch(dt_cli_restore_t *r, GError **error)
{
  if(_batch.keep_going && _batch.fail_fast)
    return _usage(error, "--keep-going and --fail-fast contradict each other; choose one.");
  if(_batch.shard && !dt_batch_parse_shard(_batch.shard, &r->shard, &r->shards, error)) return FALSE;
  return dt_cli_restore_check_output(r, r->n_files > 1, error);
}

gboolean dt_cli_restore_check_output(const dt_cli_restore_t *r, gboolean several, GError **error)
{
  const char *output = r->job.output;
  if(dt_output_template_is(output)) return dt_output_template_check(output, several, error);
  if(!several || !output || g_file_test(output, G_FILE_TEST_IS_DIR)) return TRUE;
  return _usage(error,
                "With several files -o takes an existing directory or a pattern with {name}, and %s is none.",
                output);
}

static gboolean _check_options(dt_cli_restore_t *r, GError **error)
{
  dt_restore_job_t *job = &r->job;
  dt_restore_load_opts_t *load = &r->load;
  if(r->n_files == 0)
    return _usage(error, "Say which files to work on, e.g.: darktable-ai %s photo.%s", job->task,
                  _is_raw_job(job) ? "nef" : "jpg");
  if(!_check_numbers(error) || !_parse_target(&job->target, error)) return FALSE;
  if(_opt.skip_existing && _opt.overwrite)
    return _usage(error, "--skip-existing and --overwrite contradict each other; choose one.");
  if(!_parse_compression(job, &job->compression))
    return _usage(error, "--compression takes %snone, deflate or deflate-predictor.",
                  _is_raw_job(job) ? "lj92, " : "");
  if(!_parse_raw(job, error)) return FALSE;
  if(!_parse_intent(&job->intent)) return _usage(error, "--intent takes relative or perceptual.");
  if(!_parse_format(job, error) || (_is_raw_job(job) && !_check_raw_format(job, error))) return FALSE;
  if(!_check_streams(r, error)) return FALSE;
  if(_opt.progress && !dt_cli_progress_mode(_opt.progress, &r->progress.mode))
    return _usage(error, "--progress takes auto, bar, plain, json or none.");
  if(_opt.memory && !(load->memory = (size_t)dt_conf_parse_size(_opt.memory)))
    return _usage(error, "--memory takes a size such as 500M or 2G.");
  if(!_check_batch(r, error)) return FALSE;
  return _parse_provider(load, error);
}

/* --- the whole --- */

static void _fill(dt_cli_restore_t *r, const char *task, int argc, char **argv)
{
  *r = (dt_cli_restore_t){ .model = _opt.model,
                           .provider_given = _opt.provider != NULL,
                           .sigma_given = _opt.sigma != UNSET,
                           .skip_existing = _opt.skip_existing,
                           .dry_run = _opt.dry_run,
                           .json = _opt.json,
                           .recursive = _batch.recursive,
                           .resume = _batch.resume,
                           .fail_fast = _batch.fail_fast,
                           .journal = _batch.journal,
                           .files = argv + 1,
                           .n_files = argc - 1 };
  r->load =
      (dt_restore_load_opts_t){ .threads = MAX(_opt.threads, 0), .cancellable = dt_cli_catch_signals() };
  r->job = (dt_restore_job_t){ .task = task,
                               .output = _opt.output,
                               .assume_profile = _opt.assume,
                               .profile = _opt.icc,
                               .bits = MAX(_opt.bits, 0),
                               .quality = MAX(_opt.quality, 0),
                               .overwrite = _opt.overwrite,
                               .force = _opt.force,
                               .version = DT_VERSION,
                               .originals = argv + 1,
                               .n_originals = argc - 1 };
  r->job.mask = _opt.mask;
  r->job.no_dither = _opt.no_dither;
  r->job.restore =
      (dt_restore_opts_t){ .sigma = (float)MAX(_opt.sigma, 0),
                           .original = _opt.strength == UNSET ? 0 : (float)(1 - _opt.strength / 100),
                           .clip_gamut = !_opt.preserve_gamut,
                           .pass_through = _opt.pass_through,
                           .cancellable = r->load.cancellable,
                           .progress = dt_cli_progress_update,
                           .progress_data = &r->progress };
}

/* --- for the journal --- */

/* Options that change no byte of a result. */
static gboolean _is_neutral(const GOptionEntry *entry)
{
  static const char *const names[] = { "model",     "provider",      "memory",  "threads", "overwrite",
                                       "force",     "skip-existing", "dry-run", "json",    "progress",
                                       "recursive", "keep-going",    "resume",  "journal", "fail-fast" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
    if(strcmp(entry->long_name, names[i]) == 0) return TRUE;
  return (entry->flags & (G_OPTION_FLAG_REVERSE | G_OPTION_FLAG_HIDDEN)) != 0;
}

/* A file's name and, where there is one, the digest of what is in it: the same name may hold something else later. */
static char *_describe_file(const char *name)
{
  char *data = NULL;
  gsize size;
  if(!name || !g_file_test(name, G_FILE_TEST_IS_REGULAR) || !g_file_get_contents(name, &data, &size, NULL))
    return g_strdup(name);
  char *digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)data, size);
  char *text = g_strdup_printf("%s (sha256 %.16s)", name, digest);
  g_free(digest);
  g_free(data);
  return text;
}

/* The option's value as text, or NULL when it was not given (transfer full). */
static char *_describe_value(const GOptionEntry *entry)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  switch(entry->arg)
  {
  case G_OPTION_ARG_NONE: return g_strdup(*(const gboolean *)entry->arg_data ? "given" : NULL);
  case G_OPTION_ARG_INT:
    return *(const int *)entry->arg_data == UNSET ? NULL
                                                  : g_strdup_printf("%d", *(const int *)entry->arg_data);
  case G_OPTION_ARG_DOUBLE:
    return *(const double *)entry->arg_data == UNSET
               ? NULL
               : g_strdup(g_ascii_dtostr(number, sizeof number, *(const double *)entry->arg_data));
  case G_OPTION_ARG_FILENAME:
    return strcmp(entry->long_name, "output") == 0 ? g_strdup(*(char **)entry->arg_data)
                                                   : _describe_file(*(char **)entry->arg_data);
  default: return g_strdup(*(char **)entry->arg_data);
  }
}

JsonObject *dt_cli_restore_settings(const char *task)
{
  JsonObject *settings = json_object_new();
  json_object_set_string_member(settings, "task", task);
  for(const GOptionEntry *e = _find_task(task)->entries; e->long_name; e++)
  {
    char *value = _is_neutral(e) ? NULL : _describe_value(e),
         *text = value ? g_utf8_make_valid(value, -1) : NULL;
    if(text) json_object_set_string_member(settings, e->long_name, text);
    g_free(text);
    g_free(value);
  }
  return settings;
}

/* --- parsing --- */

gboolean dt_cli_restore_parse(int argc, char **argv, dt_cli_restore_t *restore, int *exit_code)
{
  const _task_t *task = _find_task(argv[0]);
  GError *error = NULL;
  if(!dt_cli_parse(&argc, &argv, "FILE|DIR…", task->summary, task->examples, task->entries, exit_code))
    return FALSE;
  _fill(restore, task->name, argc, argv);
  if(_check_options(restore, &error))
  {
    if(_is_stream(restore->job.output) && !restore->dry_run) restore->job.stream = dt_cli_take_stdout();
    return TRUE;
  }
  *exit_code = dt_cli_fail(error);
  return FALSE;
}
