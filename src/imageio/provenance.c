/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stamps pictures with what has been done to them. Nothing here looks at the clock, and no identifier is made up:
 * two runs write the same bytes. */
#include "imageio/provenance.h"
#include "imageio/xmp.h"

#include <stdint.h>
#include <string.h>

#define PREFIX "dtai"
#define STEPS "steps"
/** The last second of the year 9999, beyond which no date can be written. */
#define LAST_SECOND G_GUINT64_CONSTANT(253402300799)

char *dt_provenance_software(const dt_provenance_t *provenance)
{
  return g_strjoin(" ", DT_PROVENANCE_SOFTWARE, provenance->version, NULL);
}

// --- Stamping

/** The date that was asked for, or NULL (https://reproducible-builds.org/specs/source-date-epoch/). */
static char *_get_date(void)
{
  const char *epoch = g_getenv("SOURCE_DATE_EPOCH");
  guint64 seconds;
  if(!epoch || !g_ascii_string_to_unsigned(epoch, 10, 0, LAST_SECOND, &seconds, NULL)) return NULL;
  GDateTime *date = g_date_time_new_from_unix_utc((gint64)seconds);
  char *text = date ? g_date_time_format(date, "%Y-%m-%dT%H:%M:%SZ") : NULL;
  if(date) g_date_time_unref(date);
  return text;
}

/** A number for people and programs: no more digits than it has. */
static char *_format_number(double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  return g_strdup(g_ascii_formatd(text, sizeof(text), "%.6g", value));
}

/** EXIF has texts in whatever encoding; what is not UTF-8 is taken as Latin-1, which any bytes are. */
static char *_to_utf8(const char *text)
{
  if(!text || !*text) return NULL;
  return g_utf8_validate(text, -1, NULL) ? g_strdup(text)
                                         : g_convert(text, -1, "UTF-8", "ISO-8859-1", NULL, NULL, NULL);
}

static gboolean _append_step(dt_xmp_t *xmp, const dt_provenance_t *p, const char *previous)
{
  char *strength = _format_number(p->strength), *scale = _format_number(p->scale),
       *sigma = p->sigma > 0.0 ? _format_number(p->sigma) : NULL,
       *black = p->white > p->black ? _format_number(p->black) : NULL,
       *white = p->white > p->black ? _format_number(p->white) : NULL;
  const char *fields[][2] = { { "task", p->task },
                              { "model", p->model },
                              { "modelHash", p->model_hash },
                              { "strength", strength },
                              { "mask", p->mask },
                              { "sigma", sigma },
                              { "scale", scale },
                              { "version", p->version },
                              { "originalBlack", black },
                              { "originalWhite", white },
                              { "previousSoftware", previous },
                              { NULL, NULL } };
  const gboolean done = dt_xmp_append(xmp, DT_PROVENANCE_NS, PREFIX, STEPS, DT_PROVENANCE_NS, PREFIX,
                                      (const char *const(*)[2])fields);
  g_free(strength);
  g_free(scale);
  g_free(sigma);
  g_free(black);
  g_free(white);
  return done;
}

/** "denoise, model NAME (sha256 DIGEST), strength 100, scale 1" */
static char *_describe(const dt_provenance_t *p)
{
  char *strength = _format_number(p->strength), *scale = _format_number(p->scale);
  char *text =
      g_strdup_printf("%s, model %s (sha256 %s), strength %s%s, scale %s", p->task ? p->task : "restore",
                      p->model ? p->model : "unknown", p->model_hash ? p->model_hash : "unknown", strength,
                      p->mask ? " with a mask" : "", scale);
  g_free(strength);
  g_free(scale);
  return text;
}

static gboolean _append_event(dt_xmp_t *xmp, const dt_provenance_t *p, const char *date)
{
  char *software = dt_provenance_software(p), *parameters = _describe(p);
  const char *fields[][2] = { { "action", "edited" }, { "softwareAgent", software },
                              { "when", date },       { "parameters", parameters },
                              { "changed", "/" },     { NULL, NULL } };
  const gboolean done = dt_xmp_append(xmp, DT_XMP_NS_MM, "xmpMM", "History", DT_XMP_NS_EVENT, "stEvt",
                                      (const char *const(*)[2])fields);
  g_free(parameters);
  g_free(software);
  return done;
}

/** Keeps the name of the program before this one. Returns it when it has to go into the step. */
static const char *_keep_software(dt_xmp_t *xmp, const char *previous)
{
  if(!previous || g_str_has_prefix(previous, DT_PROVENANCE_SOFTWARE)) return NULL;
  char *tool = dt_xmp_get(xmp, DT_XMP_NS_XMP, "CreatorTool");
  if(!tool) dt_xmp_add(xmp, DT_XMP_NS_XMP, "xmp", "CreatorTool", previous);
  const gboolean differs = tool && strcmp(tool, previous) != 0;
  g_free(tool);
  return differs ? previous : NULL;
}

static void _set_date(dt_xmp_t *xmp, const char *date)
{
  if(date && !dt_xmp_replace(xmp, DT_XMP_NS_XMP, "MetadataDate", date))
    dt_xmp_add(xmp, DT_XMP_NS_XMP, "xmp", "MetadataDate", date);
}

GBytes *dt_provenance_stamp(GBytes *packet, const dt_provenance_t *provenance, const char *previous_software)
{
  dt_xmp_t *xmp = packet ? dt_xmp_read(packet) : dt_xmp_create();
  if(!xmp) return NULL;
  char *previous = _to_utf8(previous_software), *date = _get_date();
  const char *other = _keep_software(xmp, previous);
  _set_date(xmp, date);
  const gboolean done = _append_event(xmp, provenance, date) && _append_step(xmp, provenance, other);
  GBytes *stamped = done ? dt_xmp_write(xmp) : NULL;
  dt_xmp_destroy(xmp);
  g_free(previous);
  g_free(date);
  return stamped;
}

// --- Reading

static void _free_step(void *data)
{
  dt_provenance_t *step = data;
  const char *const texts[] = { step->task, step->model, step->model_hash, step->mask, step->version };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++) g_free((char *)(uintptr_t)texts[i]);
  g_free(step);
}

static const char *_copy(GHashTable *fields, const char *name)
{
  return g_strdup(g_hash_table_lookup(fields, name));
}

static double _get_number(GHashTable *fields, const char *name)
{
  const char *text = g_hash_table_lookup(fields, name);
  return text ? g_ascii_strtod(text, NULL) : 0.0;
}

GPtrArray *dt_provenance_read(GBytes *packet)
{
  GPtrArray *steps = g_ptr_array_new_with_free_func(_free_step);
  dt_xmp_t *xmp = packet ? dt_xmp_read(packet) : NULL;
  if(!xmp) return steps;
  GPtrArray *items = dt_xmp_get_items(xmp, DT_PROVENANCE_NS, STEPS);
  for(guint i = 0; i < items->len; i++)
  {
    dt_provenance_t *step = g_new0(dt_provenance_t, 1);
    *step = (dt_provenance_t){ .task = _copy(items->pdata[i], "task"),
                               .model = _copy(items->pdata[i], "model"),
                               .model_hash = _copy(items->pdata[i], "modelHash"),
                               .strength = _get_number(items->pdata[i], "strength"),
                               .mask = _copy(items->pdata[i], "mask"),
                               .sigma = _get_number(items->pdata[i], "sigma"),
                               .scale = _get_number(items->pdata[i], "scale"),
                               .black = _get_number(items->pdata[i], "originalBlack"),
                               .white = _get_number(items->pdata[i], "originalWhite"),
                               .version = _copy(items->pdata[i], "version") };
    g_ptr_array_add(steps, step);
  }
  g_ptr_array_unref(items);
  dt_xmp_destroy(xmp);
  return steps;
}
