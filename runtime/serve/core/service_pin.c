/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the protocol side that GPUs read in place. One device pins for all of its kind, so it is
 * the first that can; the count is one for all, since pages that are pinned are lost to the rest of
 * the machine.
 */
#include "common/log.h"
#include "runtime/serve/core/service_state.h"

#include <inttypes.h>

void glet_pins_use(struct glet_pins *pins, struct glet_device *device)
{
    struct glet_device *none = NULL;
    if (glet_device_can_pin(device))
        (void)atomic_compare_exchange_strong(&pins->device, &none, device);
}

static void tell_once(struct glet_service *service, const char *why)
{
    if (!atomic_exchange(&service->pins.told, true))
        glet_log_warning("%s: inputs elsewhere are copied by gpu-lets pinned_bytes=%zu", why,
                         atomic_load(&service->pins.bytes));
}

bool glet_service_pin(struct glet_service *service, void *memory, size_t bytes, bool writable)
{
    struct glet_pins *pins = &service->pins;
    struct glet_device *device = atomic_load(&pins->device);
    size_t limit = service->options.max_pinned_bytes;
    if (!device || limit == 0)
        return false;
    size_t before = atomic_fetch_add(&pins->bytes, bytes);
    bool room = before <= limit && bytes <= limit - before;
    if (room && glet_device_pin(device, memory, bytes, writable))
        return true;
    atomic_fetch_sub(&pins->bytes, bytes);
    tell_once(service, room ? "a GPU's driver pins no more memory"
                            : "no more memory is pinned than --max-pinned-memory");
    return false;
}

void glet_service_unpin(struct glet_service *service, void *memory, size_t bytes)
{
    glet_device_unpin(atomic_load(&service->pins.device), memory);
    atomic_fetch_sub(&service->pins.bytes, bytes);
}

size_t glet_service_pinned_bytes(const struct glet_service *service)
{
    return atomic_load(&service->pins.bytes);
}
