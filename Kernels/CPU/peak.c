// The processor's measured peak: multiply-adds on registers alone, what kernels' speeds are a percentage of.
//
// Twelve accumulators: with fewer than ten the latency of a multiply-add leaves two pipes idle, and kernels would seem
// to run above the peak.
#ifndef ESP_ISA
#define _GNU_SOURCE
#define ESP_SELF "peak.c"
#define ACCUMULATORS 12
#define ROUND 4096  // multiply-adds of each accumulator in one task
#include <time.h>
#include "dispatch.h"

ESP_DISPATCH(esp_peak_loop)

static void peak_task(void *context, int32_t index) {
  void *base[] = {(float *)context + 64 * index};
  esp_peak_loop(base, NULL, ROUND);
}

static double peak_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// FLOP/s of one thread or (0) of the pool: the best of many short runs, a multiply-add counted as two.
double esp_measure_peak(int32_t threads) {
  enum { TASKS = 32, RUNS = 2000, MOST = 256 };  // many tasks a thread: an uneven start costs little
  static float sinks[64 * TASKS * MOST];
  if (threads != 1) threads = esp_threads();
  if (threads > MOST) threads = MOST;
  const int lanes = esp_isa_level() == 2 ? 16 : esp_isa_level() == 1 ? 8 : 4;
  const double flops = 2.0 * lanes * ACCUMULATORS * ROUND * TASKS * threads;
  double best = 0;
  for (int run = 0; run < RUNS; run++) {
    const double start = peak_seconds();
    if (threads == 1) {
      for (int32_t i = 0; i < TASKS; i++) peak_task(sinks, i);
    } else {
      esp_parallel(TASKS * threads, peak_task, sinks);
    }
    const double rate = flops / (peak_seconds() - start);
    if (rate > best) best = rate;
  }
  return best;
}

#else
#include "vreg.h"

// `count` multiply-adds of each accumulator; the sums go to base[0] so that they are needed.
void ESP_NAME(esp_peak_loop)(void *const *base, const void *rows, int32_t count) {
  (void)rows;
  float *sink = base[0];
  const vreg factor = rsplat(0.5f + sink[0] * 1e-9f), term = rsplat(1);
  vreg sums[ACCUMULATORS];
  ESP_UNROLL for (int a = 0; a < ACCUMULATORS; a++) sums[a] = rsplat((float)a);
  for (int32_t i = 0; i < count; i++) {
    ESP_UNROLL for (int a = 0; a < ACCUMULATORS; a++) sums[a] = rfma(sums[a], factor, term);
  }
  vreg sum = sums[0];
  ESP_UNROLL for (int a = 1; a < ACCUMULATORS; a++) sum += sums[a];
  rstore(sink, sum);
}
#endif
