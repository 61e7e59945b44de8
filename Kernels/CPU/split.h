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

#define ESP_SPLIT_TASKS 128
typedef struct {
  void *const *base;
  const char *rows;
  size_t size;
  esp_measure measure;
  esp_body body;
  struct { int32_t row; int64_t unit; } start[ESP_SPLIT_TASKS + 1];  // a task goes from its start to the next one's
} esp_split_context;

static void esp_split_task(void *context, int32_t index) {
  const esp_split_context *s = context;
  int32_t first = s->start[index].row, last = s->start[index + 1].row;
  for (int32_t row = first; row <= last; row++) {
    int64_t from = row == first ? s->start[index].unit : 0, to = s->start[index + 1].unit;
    if (row == last && to == 0) break;
    const void *r = s->rows + (size_t)row * s->size;
    if (row < last) to = s->measure(r).units;
    if (from < to) s->body(s->base, r, from, to);
  }
}

// Cuts all units of all rows, laid end to end, into tasks of equal cost.
static inline void esp_split(void *const *base, const void *rows, size_t size, int32_t count, esp_measure measure,
                             esp_body body) {
  const double fork = 20e3, grain = 10e3;  // ns: what is worth a fork at all, and the least a task should take
  double total = 0;
  for (int32_t row = 0; row < count; row++) {
    esp_work work = measure((const char *)rows + (size_t)row * size);
    total += (double)work.units * work.nanoseconds;
  }
  esp_split_context s = {.base = base, .rows = rows, .size = size, .measure = measure, .body = body};
  int32_t tasks = 1, threads = total < fork ? 1 : esp_threads();
  if (threads > 1) {
    double wanted = total / grain, most = 8.0 * threads;  // a few tasks a thread even out what the estimate misses
    if (wanted > most) wanted = most;
    tasks = wanted > ESP_SPLIT_TASKS ? ESP_SPLIT_TASKS : (int32_t)wanted;
  }
  s.start[0].row = 0;
  s.start[0].unit = 0;
  int32_t cut = 1;
  double before = 0, share = total / tasks;
  for (int32_t row = 0; row < count && cut < tasks; row++) {
    esp_work work = measure((const char *)rows + (size_t)row * size);
    double cost = (double)work.units * work.nanoseconds;
    for (; cut < tasks && share * cut < before + cost; cut++) {
      s.start[cut].row = row;
      s.start[cut].unit = (int64_t)((share * cut - before) / work.nanoseconds);
    }
    before += cost;
  }
  for (; cut <= tasks; cut++) {
    s.start[cut].row = count;
    s.start[cut].unit = 0;
  }
  esp_parallel(count > 0 ? tasks : 0, esp_split_task, &s);  // even one task: a region flushes denormals
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
static inline int64_t esp_runs_start(esp_runs runs, int64_t stride) {
  return runs.dense ? runs.first : runs.first * stride;
}

#endif
