// Cross-entropy of logits [samples, classes] with integer labels and label smoothing, and its backward.
//
// A label out of range gives a NaN loss and a NaN gradient: the step's norm then shows it, and nothing is read beyond
// the row. Without smoothing the sum of all log probabilities is not formed: it may be infinite where the loss is not.
#ifndef ESP_ISA
#define ESP_SELF "cross_entropy.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_cross_entropy_f32)
ESP_DISPATCH(esp_cross_entropy_backward_f32)
#else
#include "lanes.h"
#include "split.h"

#define normaliser ESP_NAME(cross_entropy_normaliser)

// Maximum of a row, and Σ exp(x − maximum).
static double normaliser(const real *x, int64_t classes, real *maximum) {
  real top = x[0];
  for (int64_t c = 1; c < classes; c++) top = x[c] > top ? x[c] : top;
  double total = 0;
  for (int64_t c = 0; c < classes; c += LANES) {
    real e[LANES];
    lanes_store(e, lanes_exp(lanes_load_part(x + c, classes - c) - top));
    for (int64_t j = 0; j < LANES && c + j < classes; j++) total += e[j];
  }
  *maximum = top;
  return total;
}

static esp_work ESP_NAME(cross_entropy_measure)(const void *row) {
  const esp_cross_entropy_row *r = row;
  return (esp_work){r->samples, 2.0 * r->classes + 20};
}

static void ESP_NAME(cross_entropy_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_cross_entropy_row *r = row;
  const int32_t *labels = (const int32_t *)base[1] + r->operand[1].offset;
  real *loss = (real *)base[2] + r->operand[2].offset;
  double smoothing = r->scalar[0];
  for (int64_t n = from; n < to; n++) {
    const real *x = (const real *)base[0] + r->operand[0].offset + n * r->classes;
    if (labels[n] < 0 || labels[n] >= r->classes) {
      loss[n] = NAN;
      continue;
    }
    real top;
    double logarithm = log(normaliser(x, r->classes, &top));
    double value = (1 - smoothing) * (logarithm - ((double)x[labels[n]] - top));
    if (smoothing != 0) {
      double sum = 0;
      for (int64_t c = 0; c < r->classes; c++) sum += logarithm - ((double)x[c] - top);
      value += smoothing / r->classes * sum;
    }
    loss[n] = (real)value;
  }
}

void ESP_KERNEL(esp_cross_entropy)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_cross_entropy_row);
  esp_split(base, rows, size, count, ESP_NAME(cross_entropy_measure), ESP_NAME(cross_entropy_body));
}

static esp_work ESP_NAME(cross_entropy_backward_measure)(const void *row) {
  const esp_cross_entropy_backward_row *r = row;
  return (esp_work){r->samples, 3.0 * r->classes + 10};
}

static void ESP_NAME(cross_entropy_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_cross_entropy_backward_row *r = row;
  const int32_t *labels = (const int32_t *)base[1] + r->operand[1].offset;
  const real *dloss = (const real *)base[2] + r->operand[2].offset;
  real smoothing = r->scalar[0], share = smoothing / (real)r->classes;
  for (int64_t n = from; n < to; n++) {
    const real *x = (const real *)base[0] + r->operand[0].offset + n * r->classes;
    real *dx = (real *)base[3] + r->operand[3].offset + n * r->classes;
    bool valid = labels[n] >= 0 && labels[n] < r->classes;
    real top, upstream = valid ? dloss[n] : (real)NAN;
    real inverse = (real)(1 / normaliser(x, r->classes, &top));
    real target = valid ? x[labels[n]] : 0;  // read first: dlogits may be the logits themselves
    for (int64_t c = 0; c < r->classes; c += LANES) {
      lanes p = lanes_exp(lanes_load_part(x + c, r->classes - c) - top) * inverse;
      lanes_store_part(dx + c, (p - share) * upstream, r->classes - c);
    }
    if (valid) {
      real p[LANES];
      lanes_store(p, lanes_exp(lanes_splat(target) - top) * inverse);
      dx[labels[n]] = (p[0] - share - (1 - smoothing)) * upstream;
    }
  }
}

void ESP_KERNEL(esp_cross_entropy_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_cross_entropy_backward_row);
  esp_split(base, rows, size, count, ESP_NAME(cross_entropy_backward_measure), ESP_NAME(cross_entropy_backward_body));
}
#endif
