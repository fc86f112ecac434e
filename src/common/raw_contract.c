/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the attributes of raw models. */
#include "common/raw_contract.h"

#include <string.h>

/* the mean to which darktable brightens linear input when the manifest does not say */
#define DEFAULT_TARGET_MEAN 0.30

/* A word of the manifest, and what it stands for. */
typedef struct _word_t
{
  const char *word;
  int value;
} _word_t;

static const _word_t _orientations[] = { { "force_rggb", FALSE }, { "native", TRUE }, { NULL, 0 } };
static const _word_t _pads[] = { { "mirror_cropped", 0 }, { "mirror", 0 }, { NULL, 0 } };
static const _word_t _balances[] = { { "none", DT_BALANCE_NONE },
                                     { "daylight", DT_BALANCE_DAYLIGHT },
                                     { "as_shot", DT_BALANCE_AS_SHOT },
                                     { NULL, 0 } };
static const _word_t _scales[] = {
  { "match_gain", TRUE }, { "absolute", FALSE }, { "none", FALSE }, { NULL, 0 }
};
static const _word_t _spaces[] = { { "lin_rec2020", 0 }, { NULL, 0 } };

/* The value of an attribute's word; a word that is not known is no reason to guess. */
static gboolean _read_word(const dt_manifest_t *manifest, const char *stem, const char *name,
                           const _word_t *words, int otherwise, int *value, GError **error)
{
  char *key = g_strdup_printf("%s.%s", stem, name), *text = dt_manifest_attribute_string(manifest, key);
  const _word_t *word = words;
  while(text && word->word && strcmp(word->word, text) != 0) word++;
  const gboolean ok = !text || word->word;
  *value = text && ok ? word->value : otherwise;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "its manifest asks for %s \"%s\", which this version does not know", name, text);
  g_free(text);
  g_free(key);
  return ok;
}

/* A network for other input than the file's name says would give garbage. Older packages do not tell. */
static gboolean _check_input_kind(const dt_manifest_t *manifest, const char *stem, gboolean bayer,
                                  GError **error)
{
  const char *wanted = bayer ? "bayer_v1" : "linear_v1";
  char *key = g_strdup_printf("%s.input_kind", stem), *kind = dt_manifest_attribute_string(manifest, key);
  const gboolean ok = !kind || strcmp(kind, wanted) == 0;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "its manifest says that %s.onnx has input_kind \"%s\" instead of \"%s\"", stem, kind, wanted);
  g_free(kind);
  g_free(key);
  return ok;
}

/* A number is a wish, null none; silence is darktable's own for linear input. */
static double _read_target_mean(const dt_manifest_t *manifest, const char *stem, gboolean bayer)
{
  char *key = g_strdup_printf("%s.target_mean", stem);
  const double otherwise = bayer || dt_manifest_has_attribute(manifest, key) ? 0.0 : DEFAULT_TARGET_MEAN;
  const double mean = dt_manifest_attribute_double(manifest, key, otherwise);
  g_free(key);
  return mean > 0 && mean <= 1 ? mean : 0.0;
}

gboolean dt_raw_contract_read(const dt_manifest_t *manifest, const char *stem, dt_raw_contract_t *contract,
                              GError **error)
{
  const gboolean bayer = strcmp(stem, "model_linear") != 0;
  int balance = 0, ignored;
  if(!_check_input_kind(manifest, stem, bayer, error)
     || !_read_word(manifest, stem, "bayer_orientation", _orientations, FALSE, &contract->native_phase, error)
     || !_read_word(manifest, stem, "edge_pad", _pads, 0, &ignored, error)
     || !_read_word(manifest, stem, "input_colorspace", _spaces, 0, &ignored, error)
     || !_read_word(manifest, stem, "output_scale", _scales, TRUE, &contract->match_gain, error)
     || !_read_word(manifest, stem, "wb_norm", _balances, bayer ? DT_BALANCE_DAYLIGHT : DT_BALANCE_AS_SHOT,
                    &balance, error))
    return FALSE;
  contract->balance = (dt_raw_balance_t)balance;
  contract->target_mean = _read_target_mean(manifest, stem, bayer);
  return TRUE;
}
