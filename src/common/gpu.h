/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Which graphics processors are built in, by the system's own list of devices: no driver is asked.
 */
#ifndef DT_COMMON_GPU_H
#define DT_COMMON_GPU_H

#include <glib.h>

typedef enum dt_gpu_vendor_t
{
  DT_GPU_OTHER,
  DT_GPU_NVIDIA,
  DT_GPU_AMD,
  DT_GPU_INTEL,
} dt_gpu_vendor_t;

typedef struct dt_gpu_t
{
  dt_gpu_vendor_t vendor;
  char *name;   ///< "NVIDIA graphics processor 2236 at 0000:01:00.0"
  char *driver; ///< kernel driver bound to it ("nvidia", "amdgpu", "i915"), or NULL
} dt_gpu_t;

/** The display controllers (PCI class 03) and accelerators (class 12) below `/sys/bus/pci/devices`, virtual ones
 * such as those of QEMU, VMware and server management chips (ASPEED, Matrox) left out, sorted by address.
 * The environment variable DT_SYSFS_ROOT replaces /sys, for tests.
 * @return of dt_gpu_t * (transfer full, frees its elements), empty when there is none or the system does not tell */
GPtrArray *dt_gpu_list(void);

/** Which build of `runtime install` suits @p gpus, NVIDIA's before AMD's before Intel's: "cuda13" or "cuda12" (by the
 * NVIDIA driver's version in /proc/driver/nvidia/version, 580 and newer know CUDA 13, and by the card's age),
 * "migraphx", "openvino", else "webgpu"; NULL when there is no GPU. Static string. */
const char *dt_gpu_suggest_runtime(const GPtrArray *gpus);

/** A PCI address as drivers write it, in the form of /sys/bus/pci/devices: lower case, domain of at least four digits.
 * "00000000:C1:00.0", "0000:c1:00" and "c1:00.0" are all "0000:c1:00.0"; a domain or function that is missing is 0.
 * @return (transfer full), or NULL when @p text (or NULL) is no such address */
char *dt_gpu_pci_address(const char *text);
/** The same from its numbers; NULL when one is out of range (bus 255, device 31, function 7). */
char *dt_gpu_pci_address_from(guint domain, guint bus, guint device, guint function);

/** Version of the NVIDIA kernel module that runs ("550.54.15"; transfer full), or NULL. */
char *dt_gpu_nvidia_driver(void);

/** What the file @p relative to /sys says ("module/amdgpu/version"), without the end of line (transfer full), or
 * NULL. */
char *dt_gpu_read_system(const char *relative);

#endif
