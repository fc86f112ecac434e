/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Restoration of RGB pictures: tile by tile, row by row, within a memory budget.
 *
 * Load a model once, restore any number of pictures with it. Rows of linear light come in, rows of
 * linear light go out; in between they are sRGB-encoded (IEC 61966-2-1), cut into tiles, run through
 * the network and put together. Where the network allows it the result is, bit for bit, that of
 * running it once over the whole picture continued by mirroring at its edges.
 */
#ifndef DT_AI_RESTORE_H
#define DT_AI_RESTORE_H

#include "../common/rows.h"
#include "backend.h"

G_BEGIN_DECLS

/** What a model is shown: which of its networks is loaded. */
typedef enum dt_restore_input_t
{
  DT_RESTORE_RGB,    ///< developed pictures; of the tasks denoise and upscale
  DT_RESTORE_BAYER,  ///< a Bayer sensor's cells, packed in four planes; of the task rawdenoise
  DT_RESTORE_LINEAR, ///< demosaicked linear Rec.2020; of the task rawdenoise
} dt_restore_input_t;

/** How to load. Zero-initialise for the defaults. */
typedef struct dt_restore_load_opts_t
{
  int scale;                 ///< for the task upscale: 2 or 4; default 2
  gboolean linear;           ///< for the task rawdenoise: the network for sensors that are not Bayer's
  dt_ai_provider_t provider; ///< default AUTO: the environment's choice
  gboolean strict;           ///< that provider or none: an error (DT_AI_ERROR_PROVIDER) instead of the CPU
  size_t memory; ///< budget in bytes for everything; default: plugins/ai/memory, else a quarter of
                 ///< the memory available
  int threads;   ///< threads per run of the network; default: the cores, at most 4 per run
  int runs;      ///< tiles computed side by side; default: cores / threads
  int max_tile;  ///< longest side of a tile's window in pixels; default 2048
  GCancellable *cancellable; ///< ends loading with DT_AI_ERROR_CANCELLED; borrowed during the call
} dt_restore_load_opts_t;

/** What has been decided before the first pixel. */
typedef struct dt_restore_plan_t
{
  int width, height; ///< of the picture
  int scale;         ///< the result is so many times as wide and high
  int cell;          ///< of sensors: tiles are counted in cells of so many pixels a side, 2 or 1; else 0
  int tile_width, tile_height; ///< of a tile's window, overlap included
  int overlap;                 ///< pixels on each side
  int columns, rows;           ///< of the grid of tiles
  int threads, runs;
  gboolean exact;   ///< the result equals that of the untiled picture, bit for bit
  char reason[160]; ///< when not exact: why, for people
  int64_t computed; ///< pixels that pass through the network, overlaps included
  size_t memory;    ///< bytes needed for everything
  size_t budget;    ///< bytes allowed
} dt_restore_plan_t;

/** What happened. */
typedef struct dt_restore_report_t
{
  dt_restore_plan_t plan;    ///< the last one in force
  dt_ai_provider_t provider; ///< that really ran
  int retries;               ///< how often tiles were made smaller because memory ran out
  double seconds;            ///< wall clock, all stages
  double read_seconds;       ///< reading and converting
  double run_seconds;        ///< in the network, summed over the runs side by side
  double write_seconds;      ///< blending, converting and writing
} dt_restore_report_t;

/** Called after each tile from the thread that called dt_restore_process().
 * @param fraction    done, 0..1
 * @param megapixels  size of the whole picture */
typedef void (*dt_restore_progress_t)(double fraction, double megapixels, void *user_data);

/** How to restore one picture. Zero-initialise for the defaults. */
typedef struct dt_restore_opts_t
{
  float sigma;    ///< noise level 0..255 for models with a noise map; default 25
  float original; ///< 0 is the network's result, 1 the original bit for bit, between them texture returns in
      ///< proportion and chroma noise hardly (doc/strength.md); 1 - strength / 100. Not for upscale.
  dt_row_source_t *mask; ///< NULL, or grey rows of the picture's size, read along: how strongly the network
                         ///< acts, sRGB-encoded from 0 to 1, times what `original` leaves; borrowed
  gboolean clip_gamut;   ///< drop colours outside sRGB and values above 1 instead of carrying them past
  GCancellable *cancellable; ///< ends within one tile when cancelled
  dt_restore_progress_t progress;
  void *progress_data;
  const dt_ai_gate_t *gate; ///< NULL, or what is called around every run of the network; borrowed
  gboolean pass_through;    ///< for measurements: copy tiles instead of running the network
} dt_restore_opts_t;

typedef struct dt_restore_context_t dt_restore_context_t;

/** Loads a model for @p task ("denoise", "upscale" or "rawdenoise").
 *
 * @param model_id  NULL: the active model of the task
 * @param opts      NULL for the defaults
 * @return the context (transfer full), or NULL with DT_AI_ERROR_NO_MODEL (none, broken, or not of
 *         the task's contract), _PROVIDER, _MEMORY, _DISABLED, _USAGE (a setting makes no sense),
 *         _CANCELLED
 *
 * The first time a model is used with a runtime and thread count, a few tiles of noise measure what
 * memory it needs and whether tiling is exact; the answers are kept in the cache directory. */
dt_restore_context_t *dt_restore_load(dt_ai_environment_t *env, const char *task, const char *model_id,
                                      const dt_restore_load_opts_t *opts, GError **error);

/** Frees the context. NULL is fine. */
void dt_restore_free(dt_restore_context_t *ctx);

/** The loaded model's id (transfer none), and the provider it runs on. */
const char *dt_restore_get_model_id(const dt_restore_context_t *ctx);
dt_ai_provider_t dt_restore_get_provider(const dt_restore_context_t *ctx);
/** SHA-256 of the model's file, 64 hexadecimal digits (transfer none). */
const char *dt_restore_get_model_hash(const dt_restore_context_t *ctx);
/** As dt_ai_get_device(), dt_ai_get_placement() and dt_ai_get_fallback() of its session (transfer none). @{ */
const char *dt_restore_get_device(const dt_restore_context_t *ctx);
const char *dt_restore_get_placement(const dt_restore_context_t *ctx);
const char *dt_restore_get_fallback(const dt_restore_context_t *ctx);
/** @} */
/** What it is shown. */
dt_restore_input_t dt_restore_get_input(const dt_restore_context_t *ctx);
/** How many times as wide and high the result is: 1, 2 or 4; of a Bayer sensor, whose cells are two wide and high, 2. */
int dt_restore_get_scale(const dt_restore_context_t *ctx);
/** Whether the model takes a noise level (dt_restore_opts_t.sigma). */
gboolean dt_restore_has_sigma(const dt_restore_context_t *ctx);

/** Plans a picture without touching it.
 *
 * @param channels     a dt_row_channels_t
 * @param opts         how it will be restored, NULL for the defaults
 * @param extra_bytes  what reading and writing it hold (dt_row_source_t.memory and sink.memory)
 * @return FALSE with DT_AI_ERROR_MEMORY when it does not fit the budget */
gboolean dt_restore_plan(dt_restore_context_t *ctx, int width, int height, int channels,
                         const dt_restore_opts_t *opts, size_t extra_bytes, dt_restore_plan_t *plan,
                         GError **error);

/** Restores or enlarges one picture tile by tile.
 *
 * Pulls rows from @p in, pushes rows to @p out; peak memory is the plan's, whatever the height.
 * Alpha is carried unchanged (enlarged linearly), grey pictures stay grey; values that the network was not shown,
 * highlights and colours outside sRGB, are added back. When the runtime runs out of memory the work
 * goes on from the finished rows with the next smaller tile.
 *
 * @param in      linear Rec.709 rows, any size from 1×1, 1 to 4 channels; not destroyed
 * @param out     receives rows of the same channels, dt_restore_get_scale() times as many and as wide; finish()
 *                or abandon() has been called when this returns, on every path
 * @param opts    NULL for the defaults
 * @param report  filled when not NULL, also on failure
 * @return FALSE with @p error set: DT_AI_ERROR_CANCELLED, _MEMORY, _INPUT, _OUTPUT, _FAILED
 * Thread-safety: one call per context at a time; contexts are independent. */
gboolean dt_restore_process(dt_restore_context_t *ctx, dt_row_source_t *in, dt_row_sink_t *out,
                            const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error);

G_END_DECLS

#endif
