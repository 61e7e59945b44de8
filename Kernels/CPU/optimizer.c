// Gradient norm, clipping, and the updates of SGD, Adam / AdamW and RMSProp, as in torch.optim.
//
// A row is a piece of a parameter; all rows of a call are cut into blocks and run in one fork-join. A norm that is not
// finite raises a flag; from then on no update writes anything until the host lowers it.
#ifndef ESP_ISA
#define ESP_SELF "optimizer.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_squared_norm_f32)
ESP_DISPATCH(esp_clip_scale_f32)
ESP_DISPATCH(esp_sgd_f32)
ESP_DISPATCH(esp_adam_f32)
ESP_DISPATCH(esp_rmsprop_f32)
#else
#include "lanes.h"
#include "split.h"

#define BLOCK 4096
static inline esp_work ESP_NAME(work)(int64_t count, double nanoseconds) {  // of an element
  return (esp_work){(count + BLOCK - 1) / BLOCK, nanoseconds * (double)(count < BLOCK ? count : BLOCK)};
}

// ---- norm ----

static esp_work ESP_NAME(norm_measure)(const void *row) {
  return (esp_work){1, 0.15 * ((const esp_squared_norm_row *)row)->count};
}
static void ESP_NAME(norm_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  (void)from, (void)to;
  const esp_squared_norm_row *r = row;
  const real *g = (const real *)base[0] + r->operand[0].offset;
  double sum[16] = {0}, total = 0;
  int32_t i = 0;
  for (; i + 16 <= r->count; i += 16) {
    for (int j = 0; j < 16; j++) sum[j] += (double)g[i + j] * (double)g[i + j];
  }
  for (int j = 0; i < r->count; i++, j++) sum[j] += (double)g[i] * (double)g[i];
  for (int j = 0; j < 16; j++) total += sum[j];
  ((double *)base[1])[r->operand[1].offset] = total;
}
void ESP_KERNEL(esp_squared_norm)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_squared_norm_row), count, ESP_NAME(norm_measure), ESP_NAME(norm_body));
}

void ESP_KERNEL(esp_clip_scale)(void *const *base, const void *rows, int32_t count) {
  const esp_clip_scale_row *r = rows;
  for (int32_t row = 0; row < count; row++, r++) {
    const double *partials = (const double *)base[0] + r->operand[0].offset;
    real *scale = (real *)base[1] + r->operand[1].offset;
    double sum = 0;
    for (int32_t i = 0; i < r->count; i++) sum += partials[i];
    real maximum = r->scalar[0], norm = (real)sqrt(sum), factor = maximum / (norm + (real)1e-6);
    scale[0] = maximum != 0 && factor < 1 ? factor : 1;
    scale[1] = norm;
    real *flag = (real *)base[2] + r->operand[2].offset;
    if (!isfinite(norm)) *flag = 1;
    scale[2] = *flag;
  }
}

// ---- updates: of blocks `from` … `to` − 1 ----

// Whether an update may write; its first block counts the step.
static bool ESP_NAME(begin)(void *const *base, const esp_operand *o, int64_t from) {
  const real *scale = (const real *)base[0] + o[0].offset;
  if (scale[2] != 0) return false;
  if (from == 0 && !(o[1].flags & ESP_ABSENT)) ((int32_t *)base[1])[o[1].offset]++;
  return true;
}

static esp_work ESP_NAME(sgd_measure)(const void *row) {
  return ESP_NAME(work)(((const esp_sgd_row *)row)->count, 0.25);
}
static void ESP_NAME(sgd_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_sgd_row *r = row;
  const esp_operand *o = r->operand;
  if (!ESP_NAME(begin)(base, o, from)) return;
  const real *scale = (const real *)base[0] + o[0].offset;
  real *w = (real *)base[2] + o[2].offset;
  const real *gradient = (const real *)base[3] + o[3].offset;
  real *m = o[4].flags & ESP_ABSENT ? NULL : (real *)base[4] + o[4].offset;
  lanes factor = lanes_splat(scale[0]), rate = lanes_splat(-(real)r->scalar[0]), momentum = lanes_splat(r->scalar[1]);
  lanes fresh = lanes_splat(1 - (real)r->scalar[2]), decay = lanes_splat(r->scalar[3]);
  int64_t end = to * BLOCK < r->count ? to * BLOCK : r->count;
  for (int64_t i = from * BLOCK; i < end; i += LANES) {
    int64_t n = end - i;
    lanes value = lanes_load_part(w + i, n);
    lanes g = lanes_fma(decay, value, lanes_load_part(gradient + i, n) * factor);
    if (m) {
      lanes moment = r->first ? g : lanes_fma(momentum, lanes_load_part(m + i, n), fresh * g);
      lanes_store_part(m + i, moment, n);
      g = r->nesterov ? lanes_fma(momentum, moment, g) : moment;
    }
    lanes_store_part(w + i, lanes_fma(rate, g, value), n);
  }
}
void ESP_KERNEL(esp_sgd)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_sgd_row), count, ESP_NAME(sgd_measure), ESP_NAME(sgd_body));
}

static esp_work ESP_NAME(adam_measure)(const void *row) {
  return ESP_NAME(work)(((const esp_adam_row *)row)->count, 0.5);
}
// m += (1 − β1)(g − m) and √v / √(1 − β2^t) + ε, in the order of torch.optim.
static void ESP_NAME(adam_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_adam_row *r = row;
  const esp_operand *o = r->operand;
  if (!ESP_NAME(begin)(base, o, from)) return;
  const real *scale = (const real *)base[0] + o[0].offset;
  real *w = (real *)base[2] + o[2].offset;
  const real *gradient = (const real *)base[3] + o[3].offset;
  real *m = (real *)base[4] + o[4].offset, *v = (real *)base[5] + o[5].offset;
  real rate = r->scalar[0], decay = r->scalar[4];
  lanes factor = lanes_splat(scale[0]), fresh1 = lanes_splat(r->scalar[7]), fresh2 = lanes_splat(r->scalar[8]);
  lanes keep2 = lanes_splat(r->scalar[2]), epsilon = lanes_splat(r->scalar[3]);
  lanes step = lanes_splat(-rate / (real)r->scalar[5]), bias = lanes_splat(r->scalar[6]);
  lanes shrink = lanes_splat(r->decoupled ? 1 - rate * decay : 1), coupled = lanes_splat(r->decoupled ? 0 : decay);
  int64_t end = to * BLOCK < r->count ? to * BLOCK : r->count;
  for (int64_t i = from * BLOCK; i < end; i += LANES) {
    int64_t n = end - i;
    lanes value = lanes_load_part(w + i, n) * shrink;
    lanes g = lanes_fma(coupled, value, lanes_load_part(gradient + i, n) * factor);
    lanes first = lanes_load_part(m + i, n);
    first = lanes_fma(fresh1, g - first, first);
    lanes second = lanes_fma(keep2, lanes_load_part(v + i, n), fresh2 * g * g);
    lanes_store_part(m + i, first, n);
    lanes_store_part(v + i, second, n);
    lanes denominator = lanes_sqrt(second) / bias + epsilon;
    lanes_store_part(w + i, lanes_fma(step, first / denominator, value), n);
  }
}
void ESP_KERNEL(esp_adam)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_adam_row), count, ESP_NAME(adam_measure), ESP_NAME(adam_body));
}

static esp_work ESP_NAME(rmsprop_measure)(const void *row) {
  return ESP_NAME(work)(((const esp_rmsprop_row *)row)->count, 0.5);
}
static void ESP_NAME(rmsprop_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_rmsprop_row *r = row;
  const esp_operand *o = r->operand;
  if (!ESP_NAME(begin)(base, o, from)) return;
  const real *scale = (const real *)base[0] + o[0].offset;
  real *w = (real *)base[2] + o[2].offset, *v = (real *)base[4] + o[4].offset;
  const real *gradient = (const real *)base[3] + o[3].offset;
  real *m = o[5].flags & ESP_ABSENT ? NULL : (real *)base[5] + o[5].offset;
  real *b = o[6].flags & ESP_ABSENT ? NULL : (real *)base[6] + o[6].offset;
  lanes factor = lanes_splat(scale[0]), rate = lanes_splat(-(real)r->scalar[0]), keep = lanes_splat(r->scalar[1]);
  lanes fresh = lanes_splat(r->scalar[5]), epsilon = lanes_splat(r->scalar[2]);
  lanes decay = lanes_splat(r->scalar[3]), momentum = lanes_splat(r->scalar[4]);
  int64_t end = to * BLOCK < r->count ? to * BLOCK : r->count;
  for (int64_t i = from * BLOCK; i < end; i += LANES) {
    int64_t n = end - i;
    lanes value = lanes_load_part(w + i, n);
    lanes g = lanes_fma(decay, value, lanes_load_part(gradient + i, n) * factor);
    lanes square = lanes_fma(keep, lanes_load_part(v + i, n), fresh * g * g);
    lanes_store_part(v + i, square, n);
    if (m) {
      lanes mean = lanes_load_part(m + i, n);
      mean = lanes_fma(fresh, g - mean, mean);
      lanes_store_part(m + i, mean, n);
      square = square - mean * mean;
    }
    lanes update = g / (lanes_sqrt(square) + epsilon);
    if (b) {
      update = lanes_fma(momentum, lanes_load_part(b + i, n), update);
      lanes_store_part(b + i, update, n);
    }
    lanes_store_part(w + i, lanes_fma(rate, update, value), n);
  }
}
void ESP_KERNEL(esp_rmsprop)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_rmsprop_row), count, ESP_NAME(rmsprop_measure), ESP_NAME(rmsprop_body));
}
#endif
