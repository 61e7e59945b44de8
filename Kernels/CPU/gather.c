// Table lookup, its transpose, and one-hot vectors.
//
// An index out of range gives a NaN row (all zeros in one-hot) and no gradient; nothing is read beyond the table. The
// transpose is cut along the width only, so every table row adds its gradients in the order of the indices.
#ifndef ESP_ISA
#define ESP_SELF "gather.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_gather_f32)
ESP_DISPATCH(esp_gather_backward_f32)
ESP_DISPATCH(esp_one_hot_f32)
#else
#include "lanes.h"
#include "split.h"

static esp_work ESP_NAME(gather_measure)(const void *row) {
  const esp_gather_row *r = row;
  return (esp_work){r->count, 0.15 * r->width + 4};
}
static void ESP_NAME(gather_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_gather_row *r = row;
  const real *table = (const real *)base[0] + r->operand[0].offset;
  const int32_t *index = (const int32_t *)base[1] + r->operand[1].offset;
  real *y = (real *)base[2] + r->operand[2].offset;
  for (int64_t m = from; m < to; m++) {
    bool valid = index[m] >= 0 && index[m] < r->rows;
    const real *x = table + (valid ? (int64_t)index[m] * r->width : 0);
    for (int64_t c = 0; c < r->width; c += LANES) {
      lanes v = valid ? lanes_load_part(x + c, r->width - c) : lanes_splat(NAN);
      lanes_store_part(y + m * r->width + c, v, r->width - c);
    }
  }
}
void ESP_KERNEL(esp_gather)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_gather_row), count, ESP_NAME(gather_measure), ESP_NAME(gather_body));
}

// A unit is 16 columns of the table.
static esp_work ESP_NAME(gather_backward_measure)(const void *row) {
  const esp_gather_backward_row *r = row;
  return (esp_work){(r->width + 15) / 16, 3.0 * r->count + 2.0 * r->rows};
}
static void ESP_NAME(gather_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_gather_backward_row *r = row;
  const int32_t *index = (const int32_t *)base[1] + r->operand[1].offset;
  int64_t first = from * 16, n = (to * 16 < r->width ? to * 16 : r->width) - first;
  const real *dy = (const real *)base[0] + r->operand[0].offset + first;
  real *table = (real *)base[2] + r->operand[2].offset + first;
  for (int64_t v = 0; v < r->rows; v++) memset(table + v * r->width, 0, (size_t)n * sizeof(real));
  for (int64_t m = 0; m < r->count; m++) {
    if (index[m] < 0 || index[m] >= r->rows) continue;
    real *target = table + (int64_t)index[m] * r->width;
    const real *source = dy + m * r->width;
    for (int64_t c = 0; c < n; c += LANES) {
      lanes_store_part(target + c, lanes_load_part(target + c, n - c) + lanes_load_part(source + c, n - c), n - c);
    }
  }
}
void ESP_KERNEL(esp_gather_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_gather_backward_row);
  esp_split(base, rows, size, count, ESP_NAME(gather_backward_measure), ESP_NAME(gather_backward_body));
}

static esp_work ESP_NAME(one_hot_measure)(const void *row) {
  const esp_one_hot_row *r = row;
  return (esp_work){r->count, 0.15 * r->classes + 4};
}
static void ESP_NAME(one_hot_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_one_hot_row *r = row;
  const int32_t *index = (const int32_t *)base[0] + r->operand[0].offset;
  real *y = (real *)base[1] + r->operand[1].offset;
  memset(y + from * r->classes, 0, (size_t)((to - from) * r->classes) * sizeof(real));
  for (int64_t m = from; m < to; m++) {
    if (index[m] >= 0 && index[m] < r->classes) y[m * r->classes + index[m]] = 1;
  }
}
void ESP_KERNEL(esp_one_hot)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_one_hot_row), count, ESP_NAME(one_hot_measure), ESP_NAME(one_hot_body));
}
#endif
