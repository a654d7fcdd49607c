/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/traffic.h"

#include <math.h>

static double tensor_bytes(const struct glet_tensor *tensor)
{
    bool is_float = tensor->dtype == GLET_FLOAT32 || tensor->dtype == GLET_FLOAT64;
    double element_bytes = is_float ? 2 : (double)glet_dtype_size(tensor->dtype);
    return (double)glet_tensor_elements(tensor) * element_bytes;
}

/* Whether the tensor has to come from memory, or to go there. */
static bool leaves_cache(const struct glet_graph *graph, int number, double cache_bytes)
{
    const struct glet_tensor *tensor = &graph->tensors[number];
    return tensor->producer < 0 || tensor_bytes(tensor) > cache_bytes / 2;
}

static void add(struct glet_traffic *traffic, const struct glet_graph *graph, int number,
                double cache_bytes)
{
    int storage = glet_graph_storage(graph, number);
    double bytes = tensor_bytes(&graph->tensors[storage]);
    traffic->l2_bytes += bytes;
    if (leaves_cache(graph, storage, cache_bytes))
        traffic->dram_bytes += bytes;
}

int glet_traffic_estimate(const struct glet_model *model, int batch, double cache_bytes,
                          struct glet_traffic *out, struct glet_error *err)
{
    struct glet_graph *graph = NULL;
    struct glet_traffic traffic = {0, 0};
    if (glet_model_bind(model, batch, &graph, err) < 0)
        return -1;
    for (int n = 0; n < graph->node_count; n++) {
        const struct glet_node *node = &graph->nodes[n];
        for (int i = 0; i < node->input_count; i++)
            add(&traffic, graph, node->inputs[i], cache_bytes);
        add(&traffic, graph, node->output, cache_bytes);
    }
    for (int i = 0; i < graph->output_count; i++) /* answers, where they were not counted above */
        if (!leaves_cache(graph, glet_graph_storage(graph, graph->outputs[i]), cache_bytes))
            traffic.dram_bytes += tensor_bytes(&graph->tensors[graph->outputs[i]]);
    glet_graph_free(graph);
    *out = traffic;
    return 0;
}

static double ratio(double bytes, double latency_ms, double gb_per_s)
{
    return gb_per_s > 0 && latency_ms > 0 ? fmin(1, bytes / (latency_ms * gb_per_s * 1e6)) : NAN;
}

struct glet_utilisation glet_traffic_utilisation(const struct glet_traffic *traffic,
                                                 double latency_ms,
                                                 const struct glet_device_info *info)
{
    return (struct glet_utilisation){
        ratio(traffic->l2_bytes, latency_ms, info->l2_gb_per_s),
        ratio(traffic->dram_bytes, latency_ms, info->dram_gb_per_s),
    };
}
