// The CPU's kernels and their thread pool. See rows.h for rows and memory.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "rows.h"

// A kernel: runs `count` rows of its own type; `base[k]` is the base of operand k of every row.
// Splits its work over the pool by itself; allocates at most its threads' scratch; the result does not depend on the number of threads.
typedef void (*esp_kernel)(void *const *base, const void *rows, int32_t count);

// ---- threads (parallel.c) ----

// Calls body(context, index) for every index < count, on all threads, and returns when all are done.
void esp_parallel(int32_t count, void (*body)(void *context, int32_t index), void *context);
// Number of threads, the caller included. Set once before first use; 0 means one per available core.
void esp_set_threads(int32_t threads);
int32_t esp_threads(void);
// The instruction set that dispatch chose: "avx512", "avx2" or "baseline"; ESPALIER_ISA overrides it downwards.
const char *esp_instruction_set(void);

// Measured FLOP/s of one thread (1) or of all (0) on registers alone: what speeds are a percentage of (peak.c).
double esp_measure_peak(int32_t threads);

// A slot for one pointer per thread: the open record (Swift has no thread-local storage of its own).
void *esp_thread_slot(void);
void esp_set_thread_slot(void *value);

// ---- kernels; f64 is the scalar reference, compiled from the same text as the f32 fallback ----

#define ESP_DECLARE_FLOAT(name)                                         \
  void name##_f32(void *const *base, const void *rows, int32_t count); \
  void name##_f64(void *const *base, const void *rows, int32_t count);
#define ESP_DECLARE(name) void name(void *const *base, const void *rows, int32_t count);

ESP_DECLARE_FLOAT(esp_unary)
ESP_DECLARE_FLOAT(esp_binary)
ESP_DECLARE(esp_binary_i32)
ESP_DECLARE_FLOAT(esp_select)
ESP_DECLARE(esp_select_i32)
ESP_DECLARE(esp_copy_8)   // copy is by element size in bits
ESP_DECLARE(esp_copy_32)
ESP_DECLARE(esp_copy_64)
ESP_DECLARE_FLOAT(esp_fill)
ESP_DECLARE(esp_fill_i32)
ESP_DECLARE(esp_fill_8)
ESP_DECLARE(esp_cast)

ESP_DECLARE_FLOAT(esp_combine)
ESP_DECLARE_FLOAT(esp_combine_backward)
ESP_DECLARE_FLOAT(esp_reduce)
ESP_DECLARE_FLOAT(esp_softmax)
ESP_DECLARE_FLOAT(esp_softmax_backward)
ESP_DECLARE_FLOAT(esp_cross_entropy)
ESP_DECLARE_FLOAT(esp_cross_entropy_backward)

ESP_DECLARE_FLOAT(esp_matmul)
ESP_DECLARE_FLOAT(esp_conv2d)                  // esp_conv2d_row: x, w, y
ESP_DECLARE_FLOAT(esp_conv2d_backward_input)   // esp_conv2d_row: dy, w, dx
ESP_DECLARE_FLOAT(esp_conv2d_backward_weight)  // esp_conv2d_weight_row: x, dy, dw, workspace

ESP_DECLARE(esp_combine_normalized_f32)  // fused: f32 only
ESP_DECLARE(esp_combine_sums_f32)
ESP_DECLARE(esp_relu_depthwise_pointwise_f32)
ESP_DECLARE(esp_relu_depthwise_pointwise_backward_f32)

ESP_DECLARE_FLOAT(esp_max_pool2d)
ESP_DECLARE_FLOAT(esp_max_pool2d_backward)
ESP_DECLARE_FLOAT(esp_avg_pool2d)
ESP_DECLARE_FLOAT(esp_avg_pool2d_backward)

ESP_DECLARE_FLOAT(esp_channel_moments)
ESP_DECLARE_FLOAT(esp_normalize)
ESP_DECLARE_FLOAT(esp_batch_norm_sums)
ESP_DECLARE_FLOAT(esp_batch_norm_backward)
ESP_DECLARE_FLOAT(esp_running_update)

ESP_DECLARE_FLOAT(esp_random)
ESP_DECLARE_FLOAT(esp_gather)
ESP_DECLARE_FLOAT(esp_gather_backward)
ESP_DECLARE_FLOAT(esp_one_hot)

ESP_DECLARE_FLOAT(esp_squared_norm)
ESP_DECLARE_FLOAT(esp_clip_scale)
ESP_DECLARE_FLOAT(esp_sgd)
ESP_DECLARE_FLOAT(esp_adam)
ESP_DECLARE_FLOAT(esp_rmsprop)

// ---- OpenCL sources, embedded (sources.c) ----

// The text of rows.h and of all OpenCL/*.cl, in the order they must be compiled; ends at `count`.
int32_t esp_opencl_source_count(void);
const char *esp_opencl_source_name(int32_t index);
const char *esp_opencl_source_text(int32_t index, size_t *length);

#undef ESP_DECLARE_FLOAT
#undef ESP_DECLARE
#endif
