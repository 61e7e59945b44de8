// Random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
//
// Four elements share a counter (element / 4, 0, draw, step) under the key (seed low, seed high), so any element can be
// drawn alone, in any order, on any device. float and double use the same 32 bits.
#ifndef ESP_ISA
#define ESP_SELF "random.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_random_f32)
#else
#include "lanes.h"
#include "split.h"

#define CALLS 16             // counters drawn together, so that the compiler can vectorise over them
#define BLOCK (4 * CALLS)    // elements
#define UNIT (16 * BLOCK)

// Words 4·i … 4·i + 3 are those of counter first + i.
static void ESP_NAME(random_bits)(uint32_t first, const uint32_t *scalar, uint32_t *bits) {
  uint32_t a[CALLS], b[CALLS], c[CALLS], d[CALLS], key0 = scalar[0], key1 = scalar[1];
  for (int i = 0; i < CALLS; i++) {
    a[i] = first + (uint32_t)i;
    b[i] = 0;
    c[i] = scalar[3];
    d[i] = scalar[2];
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < CALLS; i++) {
      uint64_t p = (uint64_t)0xD2511F53u * a[i], q = (uint64_t)0xCD9E8D57u * c[i];
      uint32_t b1 = b[i], d1 = d[i];
      a[i] = (uint32_t)(q >> 32) ^ b1 ^ key0;
      b[i] = (uint32_t)q;
      c[i] = (uint32_t)(p >> 32) ^ d1 ^ key1;
      d[i] = (uint32_t)p;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  for (int i = 0; i < CALLS; i++) {
    bits[4 * i] = a[i];
    bits[4 * i + 1] = b[i];
    bits[4 * i + 2] = c[i];
    bits[4 * i + 3] = d[i];
  }
}

static esp_work ESP_NAME(random_measure)(const void *row) {
  const esp_random_row *r = row;
  double element = r->kind == ESP_NORMAL || r->kind == ESP_GUMBEL ? 3 : 1;
  return (esp_work){(r->count + UNIT - 1) / UNIT, element * UNIT};
}

static void ESP_NAME(random_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_random_row *r = row;
  const real unit = (real)0x1p-24;
  uint32_t scalar[4];
  memcpy(scalar, r->scalar, sizeof scalar);
  real p = r->scalar[4], kept = 1 / (1 - p);
  for (int64_t first = from * UNIT; first < to * UNIT && first < r->count; first += BLOCK) {
    uint32_t bits[BLOCK];
    real y[BLOCK];
    ESP_NAME(random_bits)((uint32_t)(first / 4), scalar, bits);
    switch (r->kind) {
      case ESP_UNIFORM:
        for (int i = 0; i < BLOCK; i++) y[i] = (real)(int32_t)(bits[i] >> 8) * unit;
        break;
      case ESP_KEEP:
        for (int i = 0; i < BLOCK; i++) y[i] = (real)(int32_t)(bits[i] >> 8) * unit >= p ? kept : 0;
        break;
      case ESP_NORMAL: {  // Box-Muller: words 2j and 2j + 1 give elements 2j and 2j + 1; uniforms in (0, 1]
        real u[BLOCK / 2], v[BLOCK / 2];
        for (int i = 0; i < BLOCK / 2; i++) {
          u[i] = (real)(int32_t)((bits[2 * i] >> 8) + 1) * unit;
          v[i] = (real)(int32_t)((bits[2 * i + 1] >> 8) + 1) * unit;
        }
        for (int i = 0; i < BLOCK / 2; i += LANES) {
          lanes radius = lanes_sqrt(lanes_log(lanes_load(u + i)) * (real)-2), cosine, sine;
          lanes_turn(lanes_load(v + i), &cosine, &sine);
          lanes_store(u + i, radius * cosine);
          lanes_store(v + i, radius * sine);
        }
        for (int i = 0; i < BLOCK / 2; i++) {
          y[2 * i] = u[i];
          y[2 * i + 1] = v[i];
        }
        break;
      }
      case ESP_GUMBEL:
        for (int i = 0; i < BLOCK; i++) {
          real u = (real)(int32_t)(bits[i] >> 8) * unit;
          y[i] = u < unit ? unit : u;  // the largest draw is 1 − 2^-24 already
        }
        for (int i = 0; i < BLOCK; i += LANES) lanes_store(y + i, -lanes_log(-lanes_log(lanes_load(y + i))));
        break;
    }
    int64_t n = r->count - first < BLOCK ? r->count - first : BLOCK;
    memcpy((real *)base[0] + r->operand[0].offset + first, y, (size_t)n * sizeof(real));
  }
}

void ESP_KERNEL(esp_random)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_random_row), count, ESP_NAME(random_measure), ESP_NAME(random_body));
}
#endif
