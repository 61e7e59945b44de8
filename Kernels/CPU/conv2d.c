// 2-D convolution and its two gradients.
#ifndef ESP_ISA
#define ESP_SELF "conv2d.c"
#include "dispatch.h"
#include "conv2d_shape.h"
#define REAL double
#define SCALAR(name) name##_f64
#include "conv2d_scalar.h"
#undef REAL
#undef SCALAR
#define REAL float
#define SCALAR(name) name##_f32
#include "conv2d_scalar.h"

void esp_conv2d_f64(void *const *base, const void *rows, int32_t count) { conv2d_forward_f64(base, rows, count); }
void esp_conv2d_backward_input_f64(void *const *base, const void *rows, int32_t count) {
  conv2d_backward_input_f64(base, rows, count);
}
void esp_conv2d_backward_weight_f64(void *const *base, const void *rows, int32_t count) {
  conv2d_backward_weight_f64(base, rows, count);
}
void esp_conv2d_f32(void *const *base, const void *rows, int32_t count) { conv2d_forward_f32(base, rows, count); }
void esp_conv2d_backward_input_f32(void *const *base, const void *rows, int32_t count) {
  conv2d_backward_input_f32(base, rows, count);
}
void esp_conv2d_backward_weight_f32(void *const *base, const void *rows, int32_t count) {
  conv2d_backward_weight_f32(base, rows, count);
}
#endif
