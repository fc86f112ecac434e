/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a model repository offers. Both files that say so are somebody else's: they are limited before they are
 * parsed, every value is checked for its type before it is used, and texts lose their control characters
 * before anybody prints them. */
#include "common/model_repository_internal.h"

#include "common/ai_manifest.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define INDEX_NAME "releases-index.json"
#define VERSIONS_NAME "versions.json"
#define PACKAGE_SUFFIX ".dtmodel"
#define GITHUB_RAW "https://raw.githubusercontent.com"
#define GITHUB_SITE "https://github.com"

#define MAX_JSON_BYTES ((gsize)1 << 20)
#define MAX_JSON_DEPTH 32
#define MAX_MODELS 1000
/** The only format of both files there is. */
#define SCHEMA 1
/** Longest text kept of a one-line field, and of a description. */
#define MAX_LINE 200
#define MAX_TEXT 4000
/** Versions that an error message lists. */
#define MAX_LISTED 8

typedef enum _form_t
{
  FORM_NONE,
  FORM_GITHUB,
  FORM_ADDRESS,
  FORM_DIRECTORY,
} _form_t;

/** X.Y.Z */
typedef struct _version_t
{
  guint64 part[3];
} _version_t;

/** Where the two files are. */
typedef struct _place_t
{
  char *index;
  char *releases; ///< a release's directory is `<releases>/<tag>`
  gboolean may_be_flat;
} _place_t;

static const char *_github_raw = GITHUB_RAW, *_github_site = GITHUB_SITE;

void dt_repository_set_github(const char *raw, const char *site)
{
  _github_raw = raw ? raw : GITHUB_RAW;
  _github_site = site ? site : GITHUB_SITE;
}

/* Foreign text as it may be shown. Control characters would reach a terminal; what json-glib quotes, and
 * half a surrogate pair, is not even UTF-8; a longer text is cut between two characters. */
static char *_dup_text(const char *text, size_t limit)
{
  char *valid = g_utf8_make_valid(text ? text : "", -1);
  GString *clean = g_string_new(NULL);
  for(const char *c = valid; *c && clean->len < limit; c = g_utf8_next_char(c))
  {
    const gunichar character = g_utf8_get_char(c);
    const gboolean is_break = character == '\n' && limit == MAX_TEXT;
    g_string_append_unichar(clean, g_unichar_iscntrl(character) && !is_break ? ' ' : character);
  }
  g_free(valid);
  return g_string_free(clean, FALSE);
}

static gboolean _refuse(GError **error, const char *shown, const char *why)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
              "%s cannot be used: %s. Check the repository's name, or tell its keepers.", shown, why);
  return FALSE;
}

/* Joins remarks into one text; takes @p remark. */
static void _add_note(char **note, char *remark)
{
  if(!remark) return;
  char *before = *note;
  *note = before ? g_strconcat(before, " ", remark, NULL) : g_strdup(remark);
  g_free(before);
  g_free(remark);
}

// --- The setting

static gboolean _is_github_part(const char *text, size_t size)
{
  if(size == 0 || (size == 1 && text[0] == '.') || (size == 2 && text[0] == '.' && text[1] == '.'))
    return FALSE;
  for(size_t i = 0; i < size; i++)
    if(!g_ascii_isalnum(text[i]) && !strchr("._-", text[i])) return FALSE;
  return TRUE;
}

static gboolean _is_github_name(const char *setting)
{
  const char *slash = strchr(setting, '/');
  return slash && _is_github_part(setting, (size_t)(slash - setting))
         && _is_github_part(slash + 1, strlen(slash + 1));
}

static _form_t _form_of(const char *setting)
{
  /* first the path: a directory may be called anything */
  const char *const beginnings[] = { "/", "./", "../", "~/" };
  for(size_t i = 0; i < G_N_ELEMENTS(beginnings); i++)
    if(g_str_has_prefix(setting, beginnings[i])) return FORM_DIRECTORY;
  if(strstr(setting, "://") || g_str_has_prefix(setting, "file:")) return FORM_ADDRESS;
  return _is_github_name(setting) ? FORM_GITHUB : FORM_NONE;
}

gboolean dt_repository_check_name(const char *setting, GError **error)
{
  const _form_t form = _form_of(setting);
  if(form == FORM_ADDRESS && strpbrk(setting, "?#"))
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                "The address of a model repository is that of a directory, without ? and #.");
  else if(form == FORM_NONE)
  {
    char *shown = _dup_text(setting, MAX_LINE);
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                "\"%s\" is no model repository. Give owner/name for one on GitHub, the address of a mirror "
                "(https://… or file://…), or a directory (a path that begins with /, ./, ../ or ~/).",
                shown);
    g_free(shown);
  }
  else
    return form != FORM_ADDRESS || dt_download_check_url(setting, error);
  return FALSE;
}

static char *_directory_address(const char *setting)
{
  char *path = setting[0] == '~' ? g_build_filename(g_get_home_dir(), setting + 1, NULL)
                                 : g_canonicalize_filename(setting, NULL);
  char *address = g_filename_to_uri(path, NULL, NULL);
  g_free(path);
  return address;
}

static char *_without_slashes(char *address)
{
  for(size_t n = strlen(address); n > strlen("file:///") && address[n - 1] == '/';) address[--n] = '\0';
  return address;
}

static void _init_place(_place_t *place, const char *setting)
{
  const _form_t form = _form_of(setting);
  place->may_be_flat = form != FORM_GITHUB;
  if(form == FORM_GITHUB)
  {
    place->index = g_strdup_printf("%s/%s/HEAD/" INDEX_NAME, _github_raw, setting);
    place->releases = g_strdup_printf("%s/%s/releases/download", _github_site, setting);
    return;
  }
  place->releases =
      _without_slashes(form == FORM_DIRECTORY ? _directory_address(setting) : g_strdup(setting));
  place->index = g_strconcat(place->releases, "/" INDEX_NAME, NULL);
}

static void _cleanup_place(_place_t *place)
{
  g_free(place->index);
  g_free(place->releases);
}

// --- JSON

/* Why these bytes are not even tried, or NULL. */
static const char *_objection(const char *bytes, gsize size)
{
  if(size > MAX_JSON_BYTES) return "it is larger than 1 MiB";
  if(!g_utf8_validate(bytes, (gssize)size, NULL)) return "it is not a text in UTF-8";
  return NULL;
}

static JsonNode *_parse_text(const char *text, const char *shown, GError **error)
{
  GError *cause = NULL;
  JsonNode *root = json_from_string(text, &cause);
  if(root && JSON_NODE_HOLDS_OBJECT(root)) return root;
  char *reason = _dup_text(cause ? cause->message : "it is something else", MAX_LINE);
  char *why = g_strdup_printf("it is not a JSON object (%s)", reason);
  _refuse(error, shown, why);
  g_free(reason);
  g_free(why);
  g_clear_error(&cause);
  g_clear_pointer(&root, json_node_unref);
  return NULL;
}

/* @return the root, an object (transfer full), or NULL */
static JsonNode *_parse(GBytes *json, const char *shown, GError **error)
{
  gsize size;
  const char *bytes = g_bytes_get_data(json, &size), *objection = _objection(bytes ? bytes : "", size);
  char *text = objection ? NULL : g_strndup(bytes ? bytes : "", size);
  JsonNode *root = NULL;
  if(text && dt_manifest_nests_deeper(text, MAX_JSON_DEPTH)) objection = "it is nested too deeply";
  if(objection)
    _refuse(error, shown, objection);
  else
    root = _parse_text(text, shown, error);
  g_free(text);
  return root;
}

static const char *_string(JsonNode *node)
{
  return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
             ? json_node_get_string(node)
             : NULL;
}

/* An integer that is there, else @p fallback. */
static gint64 _integer(JsonObject *object, const char *key, gint64 fallback)
{
  JsonNode *node = json_object_get_member(object, key);
  const gboolean is_integer =
      node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64;
  return is_integer ? json_node_get_int(node) : fallback;
}

static JsonObject *_object(JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member(object, key);
  return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* A schema of another type counts as unknown; none at all is what early releases have. */
static char *_remark_on_schema(JsonObject *object, const char *name)
{
  if(!json_object_has_member(object, "schema") || _integer(object, "schema", 0) == SCHEMA) return NULL;
  return g_strdup_printf("The repository's %s has a format newer than this program knows; what it says was "
                         "read as far as possible. A newer version of this program may know more.",
                         name);
}

// --- Versions

/* Reads "5.6.0", "5.6", or what begins so ("5.7.0+12~g0a1b2c3"). */
static gboolean _parse_version(const char *text, _version_t *version)
{
  *version = (_version_t){ { 0 } };
  for(int i = 0; i < 3; i++)
  {
    char *end;
    if(!g_ascii_isdigit(*text)) return FALSE;
    version->part[i] = g_ascii_strtoull(text, &end, 10);
    if(*end != '.' || !g_ascii_isdigit(end[1])) return TRUE;
    text = end + 1;
  }
  return TRUE;
}

static int _compare_versions(const _version_t *a, const _version_t *b)
{
  for(int i = 0; i < 3; i++)
    if(a->part[i] != b->part[i]) return a->part[i] < b->part[i] ? -1 : 1;
  return 0;
}

static char *_version_text(const _version_t *v)
{
  return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT, v->part[0],
                         v->part[1], v->part[2]);
}

typedef struct _choice_t
{
  _version_t wanted, best;
  const char *tag; ///< of the best so far
  GString *listed; ///< what there is, for the message when nothing fits
  guint count;
} _choice_t;

/* Names go into addresses and, for packages, become names of directories; a dot in front hides them. */
static gboolean _is_usable_name(const char *name)
{
  return name[0] != '.' && dt_manifest_id_is_safe(name);
}

static void _list_version(_choice_t *choice, const _version_t *version)
{
  if(choice->count++ >= MAX_LISTED) return;
  char *text = _version_text(version);
  g_string_append_printf(choice->listed, "%s%s", choice->listed->len ? ", " : "", text);
  g_free(text);
}

static void _consider(JsonObject *object, const char *key, JsonNode *value, gpointer user_data)
{
  _choice_t *choice = user_data;
  _version_t version;
  const char *tag = _string(value);
  (void)object;
  if(!tag || !_is_usable_name(tag) || !_parse_version(key, &version)) return;
  _list_version(choice, &version);
  if(_compare_versions(&version, &choice->wanted) > 0) return;
  if(choice->tag && _compare_versions(&version, &choice->best) <= 0) return;
  choice->best = version;
  choice->tag = tag;
}

static gboolean _refuse_choice(const _choice_t *choice, const char *shown, GError **error)
{
  char *wanted = _version_text(&choice->wanted);
  if(!choice->count)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
                "%s lists no release of model packages. Use another repository, or tell its keepers.", shown);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
                "%s has no model packages for version %s or an earlier one, only for %s%s. Use another "
                "repository or a newer version of this program.",
                shown, wanted, choice->listed->str, choice->count > MAX_LISTED ? " and others" : "");
  g_free(wanted);
  return FALSE;
}

static char *_remark_on_choice(const _choice_t *choice)
{
  if(_compare_versions(&choice->wanted, &choice->best) == 0) return NULL;
  char *wanted = _version_text(&choice->wanted), *best = _version_text(&choice->best);
  char *remark = g_strdup_printf("The repository does not list version %s; the packages of %s (%s) are used.",
                                 wanted, best, choice->tag);
  g_free(wanted);
  g_free(best);
  return remark;
}

static gboolean _choose(JsonObject *root, const char *shown, _choice_t *choice, char **tag, char **note,
                        GError **error)
{
  JsonObject *releases = _object(root, "compatible_releases");
  if(!releases) return _refuse(error, shown, "it has no \"compatible_releases\" (an object)");
  json_object_foreach_member(releases, _consider, choice);
  if(!choice->tag) return _refuse_choice(choice, shown, error);
  *tag = g_strdup(choice->tag);
  *note = _remark_on_schema(root, INDEX_NAME);
  _add_note(note, _remark_on_choice(choice));
  return TRUE;
}

gboolean dt_repository_parse_index(GBytes *json, const char *shown, const char *program_version, char **tag,
                                   char **note, GError **error)
{
  _choice_t choice = { .tag = NULL };
  *tag = *note = NULL;
  if(!_parse_version(program_version, &choice.wanted))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "\"%s\" is no version; it looks like %s.",
                program_version, DT_REPOSITORY_DARKTABLE_VERSION);
    return FALSE;
  }
  JsonNode *root = _parse(json, shown, error);
  if(!root) return FALSE;
  choice.listed = g_string_new(NULL);
  const gboolean chosen = _choose(json_node_get_object(root), shown, &choice, tag, note, error);
  g_string_free(choice.listed, TRUE);
  json_node_unref(root);
  return chosen;
}

// --- Models

static char *_dup_member(JsonObject *object, const char *key, size_t limit)
{
  return _dup_text(object ? _string(json_object_get_member(object, key)) : NULL, limit);
}

static char *_dup_digest(JsonObject *object)
{
  const char prefix[] = "sha256:";
  const char *text = object ? _string(json_object_get_member(object, "sha256")) : NULL;
  if(!text || !g_str_has_prefix(text, prefix)) return g_strdup("");
  text += strlen(prefix);
  const gboolean valid = strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
  return valid ? g_ascii_strdown(text, -1) : g_strdup("");
}

static char *_dup_package_url(const char *base, const char *id)
{
  char *name = g_uri_escape_string(id, NULL, FALSE);
  char *url = g_strconcat(base, "/", name, PACKAGE_SUFFIX, NULL);
  g_free(name);
  return url;
}

static dt_remote_model_t *_new_model(const char *id, JsonNode *value, const char *base)
{
  JsonObject *o = JSON_NODE_HOLDS_OBJECT(value) ? json_node_get_object(value) : NULL;
  const gint64 size = o ? _integer(o, "size", 0) : 0;
  dt_remote_model_t *m = g_new0(dt_remote_model_t, 1);
  m->id = g_strdup(id);
  m->version = o ? _dup_member(o, "version", MAX_LINE) : _dup_text(_string(value), MAX_LINE);
  m->name = _dup_member(o, "name", MAX_LINE);
  m->description = _dup_member(o, "description", MAX_TEXT);
  m->task = _dup_member(o, "task", MAX_LINE);
  m->license = _dup_member(o, "license", MAX_LINE);
  m->sha256 = _dup_digest(o);
  m->size = size > 0 ? (guint64)size : 0;
  m->url = _dup_package_url(base, id);
  return m;
}

static void _free_model(gpointer data)
{
  dt_remote_model_t *m = data;
  char *strings[] = { m->id, m->version, m->name, m->description, m->task, m->license, m->sha256, m->url };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
  g_free(m);
}

static gint _compare_ids(gconstpointer a, gconstpointer b)
{
  const dt_remote_model_t *const *left = a, *const *right = b;
  return strcmp((*left)->id, (*right)->id);
}

typedef struct _listing_t
{
  GPtrArray *models;
  const char *base;
  gboolean is_cut;
} _listing_t;

static void _add_model(JsonObject *object, const char *id, JsonNode *value, gpointer user_data)
{
  _listing_t *listing = user_data;
  (void)object;
  if(!_is_usable_name(id) || !(JSON_NODE_HOLDS_OBJECT(value) || _string(value))) return;
  if(listing->models->len < MAX_MODELS)
    g_ptr_array_add(listing->models, _new_model(id, value, listing->base));
  else
    listing->is_cut = TRUE;
}

static GPtrArray *_list_models(JsonObject *root, JsonObject *models, const char *base, char **note)
{
  _listing_t listing = { g_ptr_array_new_with_free_func(_free_model), base, FALSE };
  json_object_foreach_member(models, _add_model, &listing);
  g_ptr_array_sort(listing.models, _compare_ids);
  *note = _remark_on_schema(root, VERSIONS_NAME);
  if(listing.is_cut)
    _add_note(note, g_strdup_printf("The repository lists more than %d packages; the first ones are shown.",
                                    MAX_MODELS));
  return listing.models;
}

GPtrArray *dt_repository_parse_versions(GBytes *json, const char *shown, const char *base, char **note,
                                        GError **error)
{
  *note = NULL;
  JsonNode *root = _parse(json, shown, error);
  if(!root) return NULL;
  JsonObject *models = _object(json_node_get_object(root), "models");
  GPtrArray *list = NULL;
  if(models)
    list = _list_models(json_node_get_object(root), models, base, note);
  else
    _refuse(error, shown, "it has no \"models\" (an object)");
  json_node_unref(root);
  return list;
}

// --- The repository

static GBytes *_fetch(const char *url, const dt_download_opts_t *opts, gboolean *absent, GError **error)
{
  dt_download_opts_t small = { .max_bytes = MAX_JSON_BYTES };
  if(opts)
  {
    small.stall_seconds = opts->stall_seconds;
    small.cancellable = opts->cancellable;
  }
  return dt_download_bytes_if_there(url, &small, absent, error);
}

/* @p release receives "" where there is no index and none is needed. */
static gboolean _find_release(dt_repository_t *r, const _place_t *place, const char *program_version,
                              const dt_download_opts_t *opts, GError **error)
{
  gboolean absent;
  GError *cause = NULL;
  GBytes *json = _fetch(place->index, opts, &absent, &cause);
  if(!json && absent && place->may_be_flat)
  {
    g_error_free(cause);
    r->release = g_strdup("");
    return TRUE;
  }
  if(!json)
  {
    g_propagate_error(error, cause);
    return FALSE;
  }
  char *shown = dt_download_shown_url(place->index);
  const gboolean found =
      dt_repository_parse_index(json, shown, program_version, &r->release, &r->note, error);
  g_free(shown);
  g_bytes_unref(json);
  return found;
}

static char *_release_address(const _place_t *place, const char *release)
{
  if(!*release) return g_strdup(place->releases);
  char *name = g_uri_escape_string(release, NULL, FALSE);
  char *address = g_strconcat(place->releases, "/", name, NULL);
  g_free(name);
  return address;
}

static GBytes *_fetch_versions(const dt_repository_t *r, const _place_t *place, const char *url,
                               const dt_download_opts_t *opts, GError **error)
{
  gboolean absent;
  GError *cause = NULL;
  GBytes *json = _fetch(url, opts, &absent, &cause);
  if(json) return json;
  if(!absent || *r->release)
  {
    g_propagate_error(error, cause);
    return NULL;
  }
  char *shown = dt_download_shown_url(place->releases);
  _refuse(error, shown, "it has neither " INDEX_NAME " nor " VERSIONS_NAME);
  g_free(shown);
  g_error_free(cause);
  return NULL;
}

static gboolean _read_models(dt_repository_t *r, const _place_t *place, const dt_download_opts_t *opts,
                             GError **error)
{
  char *base = _release_address(place, r->release), *note = NULL;
  char *url = g_strconcat(base, "/" VERSIONS_NAME, NULL), *shown = dt_download_shown_url(url);
  GBytes *json = _fetch_versions(r, place, url, opts, error);
  if(json) r->models = dt_repository_parse_versions(json, shown, base, &note, error);
  if(json) g_bytes_unref(json);
  _add_note(&r->note, note);
  g_free(shown);
  g_free(url);
  g_free(base);
  return r->models != NULL;
}

dt_repository_t *dt_repository_open(const char *setting, const char *program_version,
                                    const dt_download_opts_t *opts, GError **error)
{
  if(!dt_repository_check_name(setting, error)) return NULL;
  _place_t place;
  _init_place(&place, setting);
  dt_repository_t *r = g_new0(dt_repository_t, 1);
  /* an address may hold a password, and the name goes into messages and records */
  r->name = _form_of(setting) == FORM_ADDRESS ? dt_download_shown_url(setting) : g_strdup(setting);
  if(!_find_release(r, &place, program_version, opts, error) || !_read_models(r, &place, opts, error))
    g_clear_pointer(&r, dt_repository_free);
  _cleanup_place(&place);
  return r;
}

void dt_repository_free(dt_repository_t *r)
{
  if(!r) return;
  if(r->models) g_ptr_array_unref(r->models);
  g_free(r->name);
  g_free(r->release);
  g_free(r->note);
  g_free(r);
}

const dt_remote_model_t *dt_repository_find(const dt_repository_t *r, const char *id)
{
  for(guint i = 0; i < r->models->len; i++)
  {
    const dt_remote_model_t *m = g_ptr_array_index(r->models, i);
    if(strcmp(m->id, id) == 0) return m;
  }
  return NULL;
}
