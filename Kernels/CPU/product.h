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
  const float *mask;   // read by masked kernels only
  int64_t xp, xa, xb, xc;
  int64_t wa, wb, wc;
  int64_t yp, mp;      // mp: between rows of the mask
  int32_t na, nb, nc;
  int32_t blocks;      // blocks of P rows, one after another
  int32_t last;        // columns in the last register, 1 … ESP_VECTOR
  int32_t accumulate;  // y += the sum, instead of y = the sum
} product;

typedef void (*product_kernel)(const product *);

#define product_body ESP_NAME(product_body)
#define product_run ESP_NAME(product_run)
#define product_rows ESP_NAME(product_rows)
#define product_registers ESP_NAME(product_registers)
#define product_sizes ESP_NAME(product_sizes)
#define PRODUCT_MOST_ROWS 16

// What p is, and what happens on the way: always constants, so that a file holds only the variants that it uses.
enum product_kind {
  PRODUCT_ROWS,         // xc = 1
  PRODUCT_ROWS_RELU,    // xc = 1, relu of x as it is read
  PRODUCT_ROWS_MASKED,  // xc = 1, what is written or added is 0 where mask[p, j] is not positive
  PRODUCT_COLUMNS,      // xp = 1
  PRODUCT_COLUMNS_RELU,
};
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

// `part`: the last register has only `last` columns. All but g are constants.
ESP_INLINE void product_body(const product *g, const int P, const int V, const bool part, const bool columns,
                             const bool relu, const bool masked) {
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
        const int64_t offset = p * g->yp + v * ESP_VECTOR;
        float *out = y + offset;
        const bool few = part && v == V - 1;
        if (masked) {
          const float *mask = g->mask + ((int64_t)block * P + p) * g->mp + v * ESP_VECTOR;
          sum[p][v] = rkeep_positive(sum[p][v], few ? rload_part(mask, last) : rload(mask));
        }
        if (g->accumulate) sum[p][v] += few ? rload_part(out, last) : rload(out);
        if (few) rstore_part(out, sum[p][v], last); else rstore(out, sum[p][v]);
      }
    }
  }
}

#define PRODUCT_NAME(P, V, kind) ESP_JOIN(product_##P##x##V##_##kind, ESP_ISA)
#define PRODUCT_KIND(P, V, kind, columns, relu, masked)                                     \
  __attribute__((unused)) static void PRODUCT_NAME(P, V, kind)(const product *g) {          \
    product_body(g, P, V, false, columns, relu, masked);                                    \
  }                                                                                         \
  __attribute__((unused)) static void PRODUCT_NAME(P, V, kind##_part)(const product *g) {   \
    product_body(g, P, V, true, columns, relu, masked);                                     \
  }
#define PRODUCT(P, V)                                       \
  PRODUCT_KIND(P, V, rows, false, false, false)             \
  PRODUCT_KIND(P, V, rows_relu, false, true, false)         \
  PRODUCT_KIND(P, V, rows_masked, false, false, true)       \
  PRODUCT_KIND(P, V, columns, true, false, false)           \
  PRODUCT_KIND(P, V, columns_relu, true, true, false)
#define PRODUCT_SMALL(V) PRODUCT(4, V) PRODUCT(3, V) PRODUCT(2, V) PRODUCT(1, V)

// A table by registers − 1 and size: 1, 2, 3, 4 rows, a middle size, the largest size.
#define PRODUCT_ENTRY(P, V, kind) {PRODUCT_NAME(P, V, kind), PRODUCT_NAME(P, V, kind##_part)}
#define PRODUCT_ENTRIES(V, middle, largest, kind)                                                                   \
  {PRODUCT_ENTRY(1, V, kind), PRODUCT_ENTRY(2, V, kind), PRODUCT_ENTRY(3, V, kind), PRODUCT_ENTRY(4, V, kind),      \
   PRODUCT_ENTRY(middle, V, kind), PRODUCT_ENTRY(largest, V, kind)}
#define PRODUCT_TABLE(kind) \
  __attribute__((unused)) static const product_kernel ESP_NAME(product_table_##kind)[PRODUCT_REGISTERS][6][2] =

#undef PRODUCT_REGISTERS
#if ESP_MANY_REGISTERS
#undef PRODUCT_ROWS_OF
#define PRODUCT_REGISTERS 4
#define PRODUCT_ROWS_OF(kind)                                                                     \
  {PRODUCT_ENTRIES(1, 8, 16, kind), PRODUCT_ENTRIES(2, 8, 8, kind), PRODUCT_ENTRIES(3, 8, 8, kind), \
   PRODUCT_ENTRIES(4, 6, 6, kind)}
PRODUCT_SMALL(1) PRODUCT(8, 1) PRODUCT(16, 1)
PRODUCT_SMALL(2) PRODUCT(8, 2)
PRODUCT_SMALL(3) PRODUCT(8, 3)
PRODUCT_SMALL(4) PRODUCT(6, 4)
static const int8_t product_sizes[PRODUCT_REGISTERS][2] = {{8, 16}, {8, 8}, {8, 8}, {6, 6}};  // middle, largest
#else
#undef PRODUCT_ROWS_OF
#define PRODUCT_REGISTERS 2
#define PRODUCT_ROWS_OF(kind) {PRODUCT_ENTRIES(1, 8, 8, kind), PRODUCT_ENTRIES(2, 6, 6, kind)}
PRODUCT_SMALL(1) PRODUCT(8, 1)
PRODUCT_SMALL(2) PRODUCT(6, 2)
static const int8_t product_sizes[PRODUCT_REGISTERS][2] = {{8, 8}, {6, 6}};
#endif
PRODUCT_TABLE(rows) PRODUCT_ROWS_OF(rows);
PRODUCT_TABLE(rows_relu) PRODUCT_ROWS_OF(rows_relu);
PRODUCT_TABLE(rows_masked) PRODUCT_ROWS_OF(rows_masked);
PRODUCT_TABLE(columns) PRODUCT_ROWS_OF(columns);
PRODUCT_TABLE(columns_relu) PRODUCT_ROWS_OF(columns_relu);

// How many registers of columns the next block takes when `left` remain: no lonely register if it can be helped.
ESP_INLINE int product_registers(int left) {
  if (left > PRODUCT_REGISTERS && left % PRODUCT_REGISTERS == 1 && PRODUCT_REGISTERS > 2) return PRODUCT_REGISTERS - 1;
  return left < PRODUCT_REGISTERS ? left : PRODUCT_REGISTERS;
}

static void product_run(product *g, int n, int registers, const product_kernel (*table)[6][2]) {
  const int8_t *size = product_sizes[registers - 1];
  const product_kernel(*kernel)[2] = table[registers - 1];
  const int part = g->last < ESP_VECTOR;
  const product start = *g;
  g->blocks = n / size[1];
  if (g->blocks > 0) kernel[5][part](g);
  int done = g->blocks * size[1];
  g->blocks = 1;
  while (done < n) {
    const int left = n - done;
    int entry = left >= size[0] ? 4 : left < 4 ? left - 1 : 3, rows = entry == 4 ? size[0] : entry + 1;
    if (!g->accumulate && rows < left) {  // one larger block that ends at n, if it fits
      const int larger = rows < size[0] ? size[0] : size[1];
      if (larger <= n) entry = rows < size[0] ? 4 : 5, rows = larger, done = n - larger;
    }
    g->x = start.x + done * start.xp;
    g->y = start.y + done * start.yp;
    g->mask = start.mask ? start.mask + done * start.mp : NULL;
    kernel[entry][part](g);
    done += rows;
  }
  *g = start;
}

// Runs the product for n rows and `registers` registers of columns. Unless it accumulates, the last block may repeat
// rows of the one before.
ESP_INLINE void product_rows(product *g, int n, int registers, const enum product_kind kind) {
  switch (kind) {
    case PRODUCT_ROWS: product_run(g, n, registers, ESP_NAME(product_table_rows)); break;
    case PRODUCT_ROWS_RELU: product_run(g, n, registers, ESP_NAME(product_table_rows_relu)); break;
    case PRODUCT_ROWS_MASKED: product_run(g, n, registers, ESP_NAME(product_table_rows_masked)); break;
    case PRODUCT_COLUMNS: product_run(g, n, registers, ESP_NAME(product_table_columns)); break;
    case PRODUCT_COLUMNS_RELU: product_run(g, n, registers, ESP_NAME(product_table_columns_relu)); break;
  }
}
#endif
