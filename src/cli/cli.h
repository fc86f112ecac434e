/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the commands share: options, words on stderr, exit codes, progress, signals.
 */
#ifndef DT_CLI_CLI_H
#define DT_CLI_CLI_H

#include "common/errors.h"

#include <gio/gio.h>

/** Exit codes (doc/command-line.md). */
enum
{
  DT_EXIT_OK = 0,
  DT_EXIT_FAILED = 1,
  DT_EXIT_USAGE = 2,
  DT_EXIT_INPUT = 3,
  DT_EXIT_OUTPUT = 4,
  DT_EXIT_NO_MODEL = 5,
  DT_EXIT_PROVIDER = 6,
  DT_EXIT_MEMORY = 7,
  DT_EXIT_NETWORK = 8,
  DT_EXIT_PARTIAL = 9,
  DT_EXIT_DISABLED = 10,
};

/** One command. */
typedef struct dt_cli_command_t
{
  const char *name;
  const char *summary;               ///< one line, for the overview
  int (*run)(int argc, char **argv); ///< argv[0] is the command's name; returns the exit code
} dt_cli_command_t;

extern const dt_cli_command_t dt_cli_cmd_bench, dt_cli_cmd_cache, dt_cli_cmd_denoise, dt_cli_cmd_rawdenoise,
    dt_cli_cmd_upscale, dt_cli_cmd_mask, dt_cli_cmd_export, dt_cli_cmd_history, dt_cli_cmd_thumbnail,
    dt_cli_cmd_models, dt_cli_cmd_opencl, dt_cli_cmd_providers, dt_cli_cmd_runtime, dt_cli_cmd_prefs,
    dt_cli_cmd_enable, dt_cli_cmd_disable, dt_cli_cmd_doctor;

/** Parses a command's options; the global ones are accepted here as well.
 *
 * @param usage     what follows the command's name, e.g. "FILE…"; NULL: nothing may
 * @param examples  shown at the end of --help
 * @return TRUE to go on, with argc and argv left with the operands; FALSE to return *exit_code */
gboolean dt_cli_parse(int *argc, char ***argv, const char *usage, const char *summary, const char *examples,
                      const GOptionEntry *entries, int *exit_code);

/** The global options, for main(): stops at the first operand, the command.
 * @param overview  shown at the end of --help
 * @return FALSE to return *exit_code */
gboolean dt_cli_parse_global(int *argc, char ***argv, const char *overview, int *exit_code);

/** Prints the OpenCL devices (`-d opencl`), once, when that topic is read: nothing is loaded otherwise.
 * dt_cli_parse() does it for commands. @return whether the topic is read */
gboolean dt_cli_report_opencl(void);

/** Prints "darktable-ai: …" on stderr, control characters but line breaks as '?'. */
void dt_cli_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/** A file's name without its directory and without control characters (transfer full). */
char *dt_cli_display_basename(const char *path);

/** Prints the error on stderr and returns its exit code. Frees @p error. */
int dt_cli_fail(GError *error);

/** The exit code for an error. */
int dt_cli_exit_code(const GError *error);

/** Whether a picture may go to the standard output: not beside JSON, and not to a terminal.
 * @return FALSE with DT_AI_ERROR_USAGE */
gboolean dt_cli_check_stdout(gboolean json, GError **error);
/** From here on nothing else may go there: neither our words nor, which this sees to, those of a library.
 * @return where the picture is to be written; 0: the standard output itself */
int dt_cli_take_stdout(void);

/** From here on the first SIGINT or SIGTERM cancels the returned object, the second ends the process.
 * Transfer none; starts one thread on the first call. */
GCancellable *dt_cli_catch_signals(void);

/** 130 or 143 once a signal was caught, else 0. */
int dt_cli_signal_exit_code(void);

/** Progress of long work on stderr. */
typedef enum dt_cli_progress_mode_t
{
  DT_CLI_PROGRESS_AUTO, ///< a bar on a terminal, else nothing
  DT_CLI_PROGRESS_BAR,
  DT_CLI_PROGRESS_PLAIN,
  DT_CLI_PROGRESS_JSON,
  DT_CLI_PROGRESS_NONE,
} dt_cli_progress_mode_t;

typedef struct dt_cli_progress_t
{
  dt_cli_progress_mode_t mode;
  const char *label;
  const char *unit; ///< of the amount: "MB"; NULL: "MP"
  gint64 start, last;
} dt_cli_progress_t;

/** @return FALSE when @p name is none of bar, plain, json, none */
gboolean dt_cli_progress_mode(const char *name, dt_cli_progress_mode_t *mode);
void dt_cli_progress_begin(dt_cli_progress_t *progress, const char *label);
/** A dt_restore_progress_t. @param amount  the whole of it, in megapixels or the progress's own unit */
void dt_cli_progress_update(double fraction, double amount, void *progress);
void dt_cli_progress_end(dt_cli_progress_t *progress);

/** Keeps results to themselves: from here on stdout has a descriptor of its own, and what libraries and drivers print to
 * descriptor 1 goes to stderr. Where the C library does not let stdout be replaced nothing changes. */
void dt_cli_keep_stdout(void);

/** Prints one JSON string literal on stdout. */
void dt_cli_print_json_string(const char *text);

#endif
