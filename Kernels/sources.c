// The text of rows.h and of all OpenCL kernels, embedded, in the order they must be compiled: rows.h, common.cl, then
// the stems, fused ones behind those that they take from.
#include "include/CKernels.h"

// Each text ends with a zero of its own.
static const char text_rows[] = {
#embed "include/rows.h" suffix(, 0)
};
static const char text_common[] = {
#embed "OpenCL/common.cl" suffix(, 0)
};
static const char text_unary[] = {
#embed "OpenCL/unary.cl" suffix(, 0)
};
static const char text_binary[] = {
#embed "OpenCL/binary.cl" suffix(, 0)
};
static const char text_select[] = {
#embed "OpenCL/select.cl" suffix(, 0)
};
static const char text_copy[] = {
#embed "OpenCL/copy.cl" suffix(, 0)
};
static const char text_combine[] = {
#embed "OpenCL/combine.cl" suffix(, 0)
};
static const char text_reduce[] = {
#embed "OpenCL/reduce.cl" suffix(, 0)
};
static const char text_softmax[] = {
#embed "OpenCL/softmax.cl" suffix(, 0)
};
static const char text_cross_entropy[] = {
#embed "OpenCL/cross_entropy.cl" suffix(, 0)
};
static const char text_matmul[] = {
#embed "OpenCL/matmul.cl" suffix(, 0)
};
static const char text_conv2d[] = {
#embed "OpenCL/conv2d.cl" suffix(, 0)
};
static const char text_depthwise_conv2d[] = {
#embed "OpenCL/depthwise_conv2d.cl" suffix(, 0)
};
static const char text_pointwise_conv2d[] = {
#embed "OpenCL/pointwise_conv2d.cl" suffix(, 0)
};
static const char text_pool2d[] = {
#embed "OpenCL/pool2d.cl" suffix(, 0)
};
static const char text_max_pool2d[] = {
#embed "OpenCL/max_pool2d.cl" suffix(, 0)
};
static const char text_avg_pool2d[] = {
#embed "OpenCL/avg_pool2d.cl" suffix(, 0)
};
static const char text_batch_norm[] = {
#embed "OpenCL/batch_norm.cl" suffix(, 0)
};
static const char text_relu_depthwise_pointwise[] = {
#embed "OpenCL/relu_depthwise_pointwise.cl" suffix(, 0)
};
static const char text_relu_depthwise_pointwise_backward[] = {
#embed "OpenCL/relu_depthwise_pointwise_backward.cl" suffix(, 0)
};
static const char text_random[] = {
#embed "OpenCL/random.cl" suffix(, 0)
};
static const char text_gather[] = {
#embed "OpenCL/gather.cl" suffix(, 0)
};
static const char text_optimizer[] = {
#embed "OpenCL/optimizer.cl" suffix(, 0)
};

static const struct {
  const char *name, *text;
  size_t length;
} sources[] = {
#define ESP_SOURCE(name, text) {name, text, sizeof text - 1}
    ESP_SOURCE("rows.h", text_rows),
    ESP_SOURCE("common.cl", text_common),
    ESP_SOURCE("unary.cl", text_unary),
    ESP_SOURCE("binary.cl", text_binary),
    ESP_SOURCE("select.cl", text_select),
    ESP_SOURCE("copy.cl", text_copy),
    ESP_SOURCE("combine.cl", text_combine),
    ESP_SOURCE("reduce.cl", text_reduce),
    ESP_SOURCE("softmax.cl", text_softmax),
    ESP_SOURCE("cross_entropy.cl", text_cross_entropy),
    ESP_SOURCE("matmul.cl", text_matmul),
    ESP_SOURCE("conv2d.cl", text_conv2d),
    ESP_SOURCE("depthwise_conv2d.cl", text_depthwise_conv2d),
    ESP_SOURCE("pointwise_conv2d.cl", text_pointwise_conv2d),
    ESP_SOURCE("pool2d.cl", text_pool2d),
    ESP_SOURCE("max_pool2d.cl", text_max_pool2d),
    ESP_SOURCE("avg_pool2d.cl", text_avg_pool2d),
    ESP_SOURCE("batch_norm.cl", text_batch_norm),
    ESP_SOURCE("relu_depthwise_pointwise.cl", text_relu_depthwise_pointwise),
    ESP_SOURCE("relu_depthwise_pointwise_backward.cl", text_relu_depthwise_pointwise_backward),
    ESP_SOURCE("random.cl", text_random),
    ESP_SOURCE("gather.cl", text_gather),
    ESP_SOURCE("optimizer.cl", text_optimizer),
#undef ESP_SOURCE
};

int32_t esp_opencl_source_count(void) { return (int32_t)(sizeof sources / sizeof *sources); }

const char *esp_opencl_source_name(int32_t index) { return sources[index].name; }

const char *esp_opencl_source_text(int32_t index, size_t *length) {
  if (length) *length = sources[index].length;
  return sources[index].text;
}
