// Splits the rows of a call over the threads: each row has units (pixels, images, blocks) that may be computed in any
// order, and an estimate of what one costs. Little work stays on the calling thread. Results must not depend on how the
// units are cut: kernels that add across units keep partials of their own.
#ifndef ESP_SPLIT_H
#define ESP_SPLIT_H

#include <stdint.h>
#include "../include/CKernels.h"

typedef struct {
  int64_t units;
  double nanoseconds;  // of one unit
} esp_work;
typedef esp_work (*esp_measure)(const void *row);
// Computes units `from` … `to` − 1 of a row.
typedef void (*esp_body)(void *const *base, const void *row, int64_t from, int64_t to);

typedef struct {
  void *const *base;
  const char *rows;
  size_t size;
  int32_t count, parts, group;
  esp_measure measure;
  esp_body body;
} esp_split_context;

static void esp_split_task(void *context, int32_t index) {
  const esp_split_context *s = context;
  int32_t first = index / s->parts * s->group, part = index % s->parts;
  for (int32_t row = first; row < first + s->group && row < s->count; row++) {
    const void *r = s->rows + (size_t)row * s->size;
    int64_t units = s->measure(r).units;
    int64_t from = units * part / s->parts, to = units * (part + 1) / s->parts;
    if (from < to) s->body(s->base, r, from, to);
  }
}

static inline void esp_split(void *const *base, const void *rows, size_t size, int32_t count, esp_measure measure,
                             esp_body body) {
  const double fork = 20e3, grain = 10e3;  // ns: what is worth a fork at all, and the least a task should take
  double total = 0, largest = 0;
  for (int32_t row = 0; row < count; row++) {
    esp_work work = measure((const char *)rows + (size_t)row * size);
    double cost = (double)work.units * work.nanoseconds;
    total += cost;
    if (cost > largest) largest = cost;
  }
  esp_split_context s = {base, rows, size, count, 1, 1, measure, body};
  if (total < fork) {
    s.group = count;
    esp_parallel(count > 0, esp_split_task, &s);  // not a plain call: a region flushes denormals
    return;
  }
  double task = total / (8.0 * esp_threads());  // a few tasks a thread even out unequal rows
  if (task < grain) task = grain;
  if (largest > task) {
    s.parts = (int32_t)(largest / task) + 1;
  } else {
    s.group = (int32_t)(task / (total / count));
    if (s.group < 1) s.group = 1;
  }
  esp_parallel((count + s.group - 1) / s.group * s.parts, esp_split_task, &s);
}

// ---- pixels x channels as runs of contiguous elements ----

#define ESP_RUN_BLOCK 2048

// Where every operand is dense the pixels are one long run, cut into blocks; a unit is a block, else a pixel.
static inline int64_t esp_run_units(int64_t pixels, int64_t channels, int dense) {
  return dense ? (pixels * channels + ESP_RUN_BLOCK - 1) / ESP_RUN_BLOCK : pixels;
}
typedef struct {
  int64_t runs, length, first;  // `first`: the first run, or the first element where dense
  int dense;
} esp_runs;
static inline esp_runs esp_runs_of(int64_t pixels, int64_t channels, int dense, int64_t from, int64_t to) {
  if (!dense) return (esp_runs){to - from, channels, from, 0};
  int64_t start = from * ESP_RUN_BLOCK, end = to * ESP_RUN_BLOCK, total = pixels * channels;
  return (esp_runs){1, (end < total ? end : total) - start, start, 1};
}
// Elements from an operand's offset to the first run.
static inline int64_t esp_runs_start(esp_runs runs, int64_t stride) { return runs.dense ? runs.first : runs.first * stride; }

#endif
