// Batch norm over [images, pixels of an image, channels]: moments, normalisation, backward, running moments.
//
// Sums over pixels restart every image: one long float sum (32k terms a lane) was wrong by 8e-6, enough to flip ReLU
// masks. Inside an image, strips of pixels are summed in float vectors and merged in double; images are merged in order
// in double. So results depend on the shape alone.
#ifndef ESP_ISA
#define ESP_SELF "batch_norm.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_channel_moments_f32)
ESP_DISPATCH(esp_normalize_f32)
ESP_DISPATCH(esp_batch_norm_sums_f32)
ESP_DISPATCH(esp_batch_norm_backward_f32)
ESP_DISPATCH(esp_running_update_f32)
#else
#include "batch_norm.h"
#include "split.h"

// ---- moments ----

static esp_work ESP_NAME(moments_measure)(const void *row) {
  const esp_channel_moments_row *r = row;
  return (esp_work){r->images, 0.1 * (double)r->pixels * r->channels + 20};
}
static void ESP_NAME(moments_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_channel_moments_row *r = row;
  int64_t stride = r->operand[0].stride;
  for (int64_t image = from; image < to; image++) {
    ESP_NAME(channel_moments)((const real *)base[0] + r->operand[0].offset + image * r->pixels * stride, stride,
                              r->pixels, r->channels,
                              (double *)base[3] + r->operand[3].offset + 2 * image * r->channels);
  }
}

// A unit of merging: 16 channels.
static esp_work ESP_NAME(moments_merge_measure)(const void *row) {
  const esp_channel_moments_row *r = row;
  return (esp_work){(r->channels + 15) / 16, 16.0 * r->images + 10};
}
static void ESP_NAME(moments_merge)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_channel_moments_row *r = row;
  const double *partial = (const double *)base[3] + r->operand[3].offset;
  real *mean = (real *)base[1] + r->operand[1].offset, *variance = (real *)base[2] + r->operand[2].offset;
  for (int64_t c = from * 16; c < to * 16 && c < r->channels; c += 16) {
    ESP_NAME(merge_moments)(partial, r->images, r->pixels, r->channels, c, mean, variance);
  }
}

void ESP_KERNEL(esp_channel_moments)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_channel_moments_row);
  esp_split(base, rows, size, count, ESP_NAME(moments_measure), ESP_NAME(moments_body));
  esp_split(base, rows, size, count, ESP_NAME(moments_merge_measure), ESP_NAME(moments_merge));
}

// ---- normalise ----

#define CHANNEL_TILE 256  // channels whose coefficients stay on the stack

static esp_work ESP_NAME(normalize_measure)(const void *row) {
  const esp_normalize_row *r = row;
  return (esp_work){(int64_t)r->images * r->pixels, 0.12 * r->channels + 1};
}
static void ESP_NAME(normalize_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_normalize_row *r = row;
  const esp_operand *o = r->operand;
  const real *mean = (const real *)base[1] + o[1].offset, *variance = (const real *)base[2] + o[2].offset;
  const real *gamma = o[3].flags & ESP_ABSENT ? NULL : (const real *)base[3] + o[3].offset;
  const real *beta = o[4].flags & ESP_ABSENT ? NULL : (const real *)base[4] + o[4].offset;
  for (int64_t tile = 0; tile < r->channels; tile += CHANNEL_TILE) {
    int64_t n = r->channels - tile < CHANNEL_TILE ? r->channels - tile : CHANNEL_TILE;
    real centre[CHANNEL_TILE], scale[CHANNEL_TILE], shift[CHANNEL_TILE];
    ESP_NAME(normalize_coefficients)(mean + tile, variance + tile, gamma ? gamma + tile : NULL, r->scalar[0], n, centre,
                                     scale);
    for (int64_t j = 0; j < n; j++) shift[j] = beta ? beta[tile + j] : 0;
    const real *x = (const real *)base[0] + o[0].offset + from * o[0].stride + tile;
    real *y = (real *)base[5] + o[5].offset + from * o[5].stride + tile;
    ESP_NAME(normalize_pixels)(x, o[0].stride, y, o[5].stride, to - from, n, centre, scale, shift, false);
  }
}

void ESP_KERNEL(esp_normalize)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_normalize_row), count, ESP_NAME(normalize_measure), ESP_NAME(normalize_body));
}

// ---- backward ----

static esp_work ESP_NAME(sums_measure)(const void *row) {
  const esp_batch_norm_sums_row *r = row;
  return (esp_work){r->images, 0.15 * (double)r->pixels * r->channels + 20};
}
static void ESP_NAME(sums_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_batch_norm_sums_row *r = row;
  const esp_operand *o = r->operand;
  const real *mean = (const real *)base[2] + o[2].offset;
  for (int64_t image = from; image < to; image++) {
    const real *x = (const real *)base[0] + o[0].offset + image * r->pixels * o[0].stride;
    const real *dy = (const real *)base[1] + o[1].offset + image * r->pixels * o[1].stride;
    double *partial = (double *)base[5] + o[5].offset + 2 * image * r->channels;
    ESP_NAME(channel_sums)(x, o[0].stride, dy, o[1].stride, r->pixels, r->channels, mean, partial);
  }
}

static esp_work ESP_NAME(sums_merge_measure)(const void *row) {
  const esp_batch_norm_sums_row *r = row;
  return (esp_work){(r->channels + 15) / 16, 10.0 * r->images + 10};
}
static void ESP_NAME(sums_merge)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_batch_norm_sums_row *r = row;
  const double *partial = (const double *)base[5] + r->operand[5].offset;
  const real *variance = (const real *)base[3] + r->operand[3].offset;
  real *sums = (real *)base[4] + r->operand[4].offset;
  for (int64_t c = from * 16; c < to * 16 && c < r->channels; c += 16) {
    double s[16], q[16];
    int64_t n = ESP_NAME(merge_sums)(partial, r->images, r->channels, c, s, q);
    for (int64_t j = 0; j < n; j++) {
      sums[c + j] = (real)s[j];
      sums[r->channels + c + j] = (real)(q[j] / sqrt((double)variance[c + j] + r->scalar[0]));
    }
  }
}

void ESP_KERNEL(esp_batch_norm_sums)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_batch_norm_sums_row);
  esp_split(base, rows, size, count, ESP_NAME(sums_measure), ESP_NAME(sums_body));
  esp_split(base, rows, size, count, ESP_NAME(sums_merge_measure), ESP_NAME(sums_merge));
}

static esp_work ESP_NAME(backward_measure)(const void *row) {
  const esp_batch_norm_backward_row *r = row;
  return (esp_work){(int64_t)r->images * r->pixels, 0.18 * r->channels + 1};
}
static void ESP_NAME(backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_batch_norm_backward_row *r = row;
  const esp_operand *o = r->operand;
  const real *mean = (const real *)base[2] + o[2].offset, *variance = (const real *)base[3] + o[3].offset;
  const real *gamma = o[4].flags & ESP_ABSENT ? NULL : (const real *)base[4] + o[4].offset;
  const real *sums = (const real *)base[5] + o[5].offset;
  real inverse = (real)1 / ((real)r->images * (real)r->pixels);
  for (int64_t tile = 0; tile < r->channels; tile += CHANNEL_TILE) {
    int64_t n = r->channels - tile < CHANNEL_TILE ? r->channels - tile : CHANNEL_TILE;
    real centre[CHANNEL_TILE], scale[CHANNEL_TILE], a[CHANNEL_TILE], b[CHANNEL_TILE];
    ESP_NAME(backward_coefficients)(mean + tile, variance + tile, gamma ? gamma + tile : NULL, sums + tile,
                                    sums + r->channels + tile, r->scalar[0], inverse, n, centre, scale, a, b);
    const real *x = (const real *)base[0] + o[0].offset + from * o[0].stride + tile;
    const real *dy = (const real *)base[1] + o[1].offset + from * o[1].stride + tile;
    real *dx = (real *)base[6] + o[6].offset + from * o[6].stride + tile;
    ESP_NAME(backward_pixels)(x, o[0].stride, dy, o[1].stride, dx, o[6].stride, to - from, n, centre, scale, a, b);
  }
}

void ESP_KERNEL(esp_batch_norm_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_batch_norm_backward_row);
  esp_split(base, rows, size, count, ESP_NAME(backward_measure), ESP_NAME(backward_body));
}

// ---- running moments ----

static esp_work ESP_NAME(running_measure)(const void *row) {
  return (esp_work){1, 2.0 * ((const esp_running_update_row *)row)->channels};
}
static void ESP_NAME(running_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  (void)from, (void)to;
  const esp_running_update_row *r = row;
  const esp_operand *o = r->operand;
  real *mean = (real *)base[0] + o[0].offset, *variance = (real *)base[1] + o[1].offset;
  const real *batch_mean = (const real *)base[2] + o[2].offset, *batch_variance = (const real *)base[3] + o[3].offset;
  const real *flag = (const real *)base[4] + o[4].offset;
  const real *share = o[5].flags & ESP_ABSENT ? NULL : (const real *)base[5] + o[5].offset;
  if (*flag != 0) return;
  real unbias = r->scalar[1];
  for (int32_t c = 0; c < r->channels; c++) {
    real momentum = share ? r->scalar[0] * share[c] : r->scalar[0];
    mean[c] = (1 - momentum) * mean[c] + momentum * batch_mean[c];
    variance[c] = (1 - momentum) * variance[c] + momentum * (batch_variance[c] * unbias);
  }
}

void ESP_KERNEL(esp_running_update)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_running_update_row), count, ESP_NAME(running_measure), ESP_NAME(running_body));
}
#endif
