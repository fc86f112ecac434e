/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The devices an execution provider can use, by name, and what identifies their driver.
 */
#ifndef DT_AI_DEVICES_H
#define DT_AI_DEVICES_H

#include "ai/backend.h"

/** Asks the provider's own driver: libcuda (CUDA), libamdhip64 (MIGraphX), libvulkan (WebGPU), libopenvino_c beside
 * the runtime or in the loader's places (OpenVINO). Drivers crash and hang; only the probing child calls this.
 *
 * @param beside  folder of the runtime's library
 * @param driver  receives the driver's version as it tells it (transfer full), or NULL
 * @return of dt_ai_device_t * (transfer full, frees its elements), empty for providers that have no list (CPU,
 *         CoreML, DirectML); NULL with DT_AI_ERROR_PROVIDER and the loader's or the driver's own words */
GPtrArray *dt_ai_devices_list(dt_ai_provider_t provider, const char *beside, char **driver, GError **error);

/** What must change for an old verdict about @p provider to be worthless: the files of its drivers (path, size,
 * time), their kernel modules' versions, and the environment variables that choose among devices. Loads nothing.
 * @return a text (transfer full), not for people */
char *dt_ai_devices_fingerprint(dt_ai_provider_t provider, const char *beside);

#endif
