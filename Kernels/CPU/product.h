// The register-blocked product behind pointwise and dense convolution, their gradients and the matrix product:
//
//   y[p, j] = Σ_{a, b, c} x[p·xp + a·xa + b·xb + c·xc]·w[a·wa + b·wb + c·wc + j]     (added to y when asked)
//
// for P rows p and V registers of columns j, all in registers over the whole sum. In a pointwise convolution p counts
// pixels, c input channels and j output channels; a dense convolution sums over kernel rows a and kernel columns b as
// well; a weight gradient has channels for p, image rows for a, image columns for c. Either c or p is contiguous in x.
#include "vreg.h"
#ifndef ESP_PRODUCT_COMMON
#define ESP_PRODUCT_COMMON

typedef struct {
  const float *x, *w;
  float *y;
  int64_t xp, xa, xb, xc;  // x steps; "rows" kernels take xc = 1, "columns" kernels xp = 1
  int64_t wa, wb, wc;
  int64_t yp;
  int32_t na, nb, nc;
  int32_t blocks;      // blocks of P rows, one after another
  int32_t last;        // columns in the last register, 1 … ESP_VECTOR
  int32_t accumulate;  // y += the sum, instead of y = the sum
} product;

typedef void (*product_kernel)(const product *);

#define product_body ESP_NAME(product_body)
#define product_table ESP_NAME(product_table)
#define product_rows ESP_NAME(product_rows)
#define product_registers ESP_NAME(product_registers)
#define PRODUCT_MOST_ROWS 16
#define product_rounded ESP_NAME(product_rounded)
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_PRODUCT_16)) || (ESP_VECTOR == 8 && !defined(ESP_PRODUCT_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_PRODUCT_4))
#if ESP_VECTOR == 16
#define ESP_PRODUCT_16
#elif ESP_VECTOR == 8
#define ESP_PRODUCT_8
#else
#define ESP_PRODUCT_4
#endif

// `part`: the last register has only `last` columns. `columns`: xp is 1; otherwise xc is 1. Both are constants.
ESP_INLINE void product_body(const product *g, const int P, const int V, const bool part, const bool columns,
                             const bool relu) {
  const int64_t xp = columns ? 1 : g->xp, xc = columns ? g->xc : 1, wc = g->wc;
  const int last = g->last;
  for (int block = 0; block < g->blocks; block++) {
    const float *x = g->x + (int64_t)block * P * xp;
    float *y = g->y + (int64_t)block * P * g->yp;
    vreg sum[PRODUCT_MOST_ROWS][4];  // constant bounds: an array of P x V would be of variable length
    ESP_UNROLL for (int p = 0; p < P; p++) {
      ESP_UNROLL for (int v = 0; v < V; v++) sum[p][v] = (vreg){0};
    }
    for (int a = 0; a < g->na; a++) {
      for (int b = 0; b < g->nb; b++) {
        const float *in = x + a * g->xa + b * g->xb, *w = g->w + a * g->wa + b * g->wb;
#pragma clang loop unroll_count(4)
        for (int c = 0; c < g->nc; c++) {
          vreg row[4];
          ESP_UNROLL for (int v = 0; v < V; v++) {
            row[v] = part && v == V - 1 ? rload_part(w + v * ESP_VECTOR, last) : rload(w + v * ESP_VECTOR);
          }
          ESP_UNROLL for (int p = 0; p < P; p++) {
            vreg factor = rsplat(in[p * xp]);
            if (relu) factor = rrelu(factor);
            ESP_UNROLL for (int v = 0; v < V; v++) sum[p][v] = rfma(factor, row[v], sum[p][v]);
          }
          in += xc;
          w += wc;
        }
      }
    }
    ESP_UNROLL for (int p = 0; p < P; p++) {
      ESP_UNROLL for (int v = 0; v < V; v++) {
        float *out = y + p * g->yp + v * ESP_VECTOR;
        if (part && v == V - 1) {
          if (g->accumulate) sum[p][v] += rload_part(out, last);
          rstore_part(out, sum[p][v], last);
        } else {
          if (g->accumulate) sum[p][v] += rload(out);
          rstore(out, sum[p][v]);
        }
      }
    }
  }
}

#define PRODUCT_NAME(P, V, kind) ESP_JOIN(product_##P##x##V##_##kind, ESP_ISA)
#define PRODUCT(P, V)                                                                                          \
  static void PRODUCT_NAME(P, V, full)(const product *g) { product_body(g, P, V, false, false, false); }       \
  static void PRODUCT_NAME(P, V, part)(const product *g) { product_body(g, P, V, true, false, false); }        \
  static void PRODUCT_NAME(P, V, columns)(const product *g) { product_body(g, P, V, false, true, false); }     \
  static void PRODUCT_NAME(P, V, columns_part)(const product *g) { product_body(g, P, V, true, true, false); }
#define PRODUCT_SMALL(V) PRODUCT(4, V) PRODUCT(3, V) PRODUCT(2, V) PRODUCT(1, V)
#define PRODUCT_ENTRY(P, V)                                                                     \
  {PRODUCT_NAME(P, V, full), PRODUCT_NAME(P, V, part), PRODUCT_NAME(P, V, columns),             \
   PRODUCT_NAME(P, V, columns_part)}
#define PRODUCT_ENTRIES(V) PRODUCT_ENTRY(1, V), PRODUCT_ENTRY(2, V), PRODUCT_ENTRY(3, V), PRODUCT_ENTRY(4, V)

#undef PRODUCT_REGISTERS
#if ESP_MANY_REGISTERS
#define PRODUCT_REGISTERS 4
PRODUCT_SMALL(1) PRODUCT(8, 1) PRODUCT(16, 1)
PRODUCT_SMALL(2) PRODUCT(8, 2)
PRODUCT_SMALL(3) PRODUCT(8, 3)
PRODUCT_SMALL(4) PRODUCT(6, 4)
// By registers − 1 and size: 1, 2, 3, 4 rows, a middle size, the largest size.
static const product_kernel product_table[PRODUCT_REGISTERS][6][4] = {
  {PRODUCT_ENTRIES(1), PRODUCT_ENTRY(8, 1), PRODUCT_ENTRY(16, 1)},
  {PRODUCT_ENTRIES(2), PRODUCT_ENTRY(8, 2), PRODUCT_ENTRY(8, 2)},
  {PRODUCT_ENTRIES(3), PRODUCT_ENTRY(8, 3), PRODUCT_ENTRY(8, 3)},
  {PRODUCT_ENTRIES(4), PRODUCT_ENTRY(6, 4), PRODUCT_ENTRY(6, 4)},
};
static const int8_t product_rounded[PRODUCT_REGISTERS][2] = {{8, 16}, {8, 8}, {8, 8}, {6, 6}};
#else
#define PRODUCT_REGISTERS 2
PRODUCT_SMALL(1) PRODUCT(8, 1)
PRODUCT_SMALL(2) PRODUCT(6, 2)
static const product_kernel product_table[PRODUCT_REGISTERS][6][4] = {
  {PRODUCT_ENTRIES(1), PRODUCT_ENTRY(8, 1), PRODUCT_ENTRY(8, 1)},
  {PRODUCT_ENTRIES(2), PRODUCT_ENTRY(6, 2), PRODUCT_ENTRY(6, 2)},
};
static const int8_t product_rounded[PRODUCT_REGISTERS][2] = {{8, 8}, {6, 6}};
#endif

// How many registers of columns the next block takes when `left` remain: no lonely register if it can be helped.
ESP_INLINE int product_registers(int left) {
  if (left > PRODUCT_REGISTERS && left % PRODUCT_REGISTERS == 1 && PRODUCT_REGISTERS > 2) return PRODUCT_REGISTERS - 1;
  return left < PRODUCT_REGISTERS ? left : PRODUCT_REGISTERS;
}

// Runs the product for n rows. Unless it accumulates, the last block may repeat rows of the one before.
static void product_rows(product *g, int n, int registers, bool columns) {
  const int8_t *size = product_rounded[registers - 1];
  const product_kernel(*kernel)[4] = product_table[registers - 1];
  const int kind = columns * 2 + (g->last < ESP_VECTOR);
  const float *x = g->x;
  float *y = g->y;
  const int64_t xp = columns ? 1 : g->xp;
  int done = 0;
  g->blocks = n / size[1];
  if (g->blocks > 0) kernel[5][kind](g);
  done = g->blocks * size[1];
  g->blocks = 1;
  while (done < n) {
    const int left = n - done;
    int entry = left >= size[0] ? 4 : left < 4 ? left - 1 : 3, rows = entry == 4 ? size[0] : entry + 1;
    if (!g->accumulate && rows < left) {  // one larger block that ends at n, if it fits
      const int larger = rows < size[0] ? size[0] : size[1];
      if (larger <= n) entry = rows < size[0] ? 4 : 5, rows = larger, done = n - larger;
    }
    g->x = x + done * xp;
    g->y = y + done * g->yp;
    kernel[entry][kind](g);
    done += rows;
  }
  g->x = x;
  g->y = y;
}
#endif
