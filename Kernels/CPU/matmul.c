// y[b] = op(a[b])·op(b[b]): batched products of row-major matrices with leading dimensions, either transposed.
//
// A task is a block of rows and up to four registers of columns of one matrix. It goes through k in chunks: packs that
// part of b into a panel (transposing it if asked), and runs the register-blocked product of all its rows with it; a
// transposed a is packed too, a few rows at a time. Chunks are added in order, so neither the blocks nor the number of
// threads show in the result. A small b that lies well is used in place. One or two rows take plain products of
// vectors.
#ifndef ESP_ISA
#include <stdbool.h>
#include <stdint.h>
#include "../include/CKernels.h"

enum {
  MATMUL_CHUNK = 256,    // of k
  MATMUL_COLUMNS = 64,   // of a panel of b, at most: 64 KiB
  MATMUL_A_ROWS = 48,    // rows of a packed at a time: 48 KiB
  MATMUL_ROWS = 384,     // rows of a task, at most
};

typedef struct {
  void *const *base;
  const esp_matmul_row *rows;
  int32_t columns;  // of a task, at most
  int32_t height;   // rows of a task, at most
} matmul_job;

static int32_t blocks_of(int32_t size, int32_t block) { return (size + block - 1) / block; }
static int32_t matmul_tasks(const matmul_job *job, const esp_matmul_row *row) {
  return row->batch * blocks_of(row->m, job->height) * blocks_of(row->n, job->columns);
}
static int32_t matmul_all_tasks(const matmul_job *job, int32_t count) {
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) tasks += matmul_tasks(job, job->rows + i);
  return tasks;
}

// One task: where its matrices and its block begin, and the steps of both operands.
typedef struct {
  int64_t a, b, y;  // elements behind the bases, at the block's first row and column
  int64_t a_row, a_k, b_k, b_column;
  int32_t rows, columns, k, ldy;
  bool dots;
} matmul_block;

static matmul_block matmul_block_of(const matmul_job *job, int32_t index) {
  const esp_matmul_row *row = job->rows;
  for (int32_t tasks; index >= (tasks = matmul_tasks(job, row)); row++) index -= tasks;
  const int32_t across = blocks_of(row->n, job->columns), down = blocks_of(row->m, job->height);
  const int32_t batch = index / (across * down), i = index / across % down * job->height;
  const int32_t j = index % across * job->columns;
  matmul_block block = {
    .a_row = row->transpose_a ? 1 : row->lda, .a_k = row->transpose_a ? row->lda : 1,
    .b_k = row->transpose_b ? 1 : row->ldb, .b_column = row->transpose_b ? row->ldb : 1,
    .rows = row->m - i < job->height ? row->m - i : job->height,
    .columns = row->n - j < job->columns ? row->n - j : job->columns,
    .k = row->k, .ldy = row->ldy,
    .dots = row->m <= 2 && !row->transpose_a && row->transpose_b,
  };
  block.a = row->operand[0].offset + (int64_t)batch * row->batch_a + i * block.a_row;
  block.b = row->operand[1].offset + (int64_t)batch * row->batch_b + j * block.b_column;
  block.y = row->operand[2].offset + (int64_t)batch * row->batch_y + (int64_t)i * row->ldy + j;
  return block;
}

// ---- double: plain loops ----

static void matmul_task_f64(void *context, int32_t index) {
  const matmul_job *job = context;
  const matmul_block g = matmul_block_of(job, index);
  const double *a = (const double *)job->base[0] + g.a, *b = (const double *)job->base[1] + g.b;
  double *y = (double *)job->base[2] + g.y;
  for (int32_t i = 0; i < g.rows; i++) {
    double *out = y + (int64_t)i * g.ldy;
    for (int32_t j = 0; j < g.columns; j++) out[j] = 0;
    for (int32_t k = 0; k < g.k; k++) {
      const double factor = a[i * g.a_row + k * g.a_k];
      const double *from = b + k * g.b_k;
      if (g.b_column == 1) {
        for (int32_t j = 0; j < g.columns; j++) out[j] += factor * from[j];
      } else {
        for (int32_t j = 0; j < g.columns; j++) out[j] += factor * from[j * g.b_column];
      }
    }
  }
}

void esp_matmul_f64(void *const *base, const void *rows, int32_t count) {
  matmul_job job = {base, rows, 64, 16};
  esp_parallel(matmul_all_tasks(&job, count), matmul_task_f64, &job);
}

#define ESP_SELF "matmul.c"
#include "dispatch.h"
ESP_DISPATCH(esp_matmul_f32)
#else
#include "product.h"
#include "transpose.h"

// `registers` registers of columns of one task; a, b and y at its first row and column.
static void ESP_NAME(matmul_columns)(const matmul_block *g, const float *a, const float *b, float *y, int registers,
                                     int columns) {
  _Alignas(64) float b_panel[MATMUL_CHUNK * MATMUL_COLUMNS], a_panel[MATMUL_CHUNK * MATMUL_A_ROWS];
  const int width = registers * ESP_VECTOR;
  const bool transpose_a = g->a_k != 1, transpose_b = g->b_column != 1;
  const bool pack_b = transpose_b || (g->b_k > 128 && g->rows > 8);
  product p = {
    .w = b, .wc = g->b_k, .yp = g->ldy, .na = 1, .nb = 1, .last = columns - (registers - 1) * ESP_VECTOR,
  };
  for (int k = 0; k == 0 || k < g->k; k += MATMUL_CHUNK) {
    const int depth = g->k - k < MATMUL_CHUNK ? g->k - k : MATMUL_CHUNK;
    p.nc = depth;
    p.accumulate = k > 0;
    p.w = b + k * g->b_k;
    if (pack_b) {
      if (transpose_b) {
        pack_transposed(p.w, g->b_column, b_panel, width, depth, columns);
      } else {
        for (int i = 0; i < depth; i++) {
          memcpy(b_panel + i * width, p.w + i * g->b_k, (size_t)columns * sizeof(float));
        }
      }
      p.w = b_panel;
      p.wc = width;
    }
    if (!transpose_a) {
      p.x = a + k;
      p.xp = g->a_row;
      p.xc = 1;
      p.y = y;
      product_rows(&p, g->rows, registers, PRODUCT_ROWS);
      continue;
    }
    for (int i = 0; i < g->rows; i += MATMUL_A_ROWS) {
      const int rows = g->rows - i < MATMUL_A_ROWS ? g->rows - i : MATMUL_A_ROWS;
      for (int c = 0; c < depth; c++) {
        memcpy(a_panel + c * MATMUL_A_ROWS, a + i + (k + c) * g->a_k, (size_t)rows * sizeof(float));
      }
      p.x = a_panel;
      p.xp = 1;
      p.xc = MATMUL_A_ROWS;
      p.y = y + (int64_t)i * g->ldy;
      product_rows(&p, rows, registers, PRODUCT_COLUMNS);
    }
  }
}

// One or two rows times a transposed matrix: each element a product of two contiguous vectors.
static void ESP_NAME(matmul_dots)(const matmul_block *g, const float *a, const float *b, float *y) {
  for (int i = 0; i < g->rows; i++) {
    for (int j = 0; j < g->columns; j++) {
      const float *left = a + i * g->a_row, *right = b + j * g->b_column;
      vec sum[4] = {{0}, {0}, {0}, {0}};
      int k = 0;
      for (; k + 64 <= g->k; k += 64) {
        ESP_UNROLL for (int v = 0; v < 4; v++) {
          sum[v] = vfma(vload(left + k + 16 * v), vload(right + k + 16 * v), sum[v]);
        }
      }
      for (; k < g->k; k += 16) {
        const int width = g->k - k < 16 ? g->k - k : 16;
        sum[0] = vfma(vload_part(left + k, width), vload_part(right + k, width), sum[0]);
      }
      y[(int64_t)i * g->ldy + j] = vsum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
  }
}

static void ESP_NAME(matmul_task)(void *context, int32_t index) {
  const matmul_job *job = context;
  const matmul_block g = matmul_block_of(job, index);
  const float *a = (const float *)job->base[0] + g.a, *b = (const float *)job->base[1] + g.b;
  float *y = (float *)job->base[2] + g.y;
  if (g.dots) {
    ESP_NAME(matmul_dots)(&g, a, b, y);
    return;
  }
  for (int32_t done = 0; done < g.columns;) {
    const int left = g.columns - done, registers = product_registers((left + ESP_VECTOR - 1) / ESP_VECTOR);
    const int columns = left < registers * ESP_VECTOR ? left : registers * ESP_VECTOR;
    ESP_NAME(matmul_columns)(&g, a, b + done * g.b_column, y + done, registers, columns);
    done += columns;
  }
}

void ESP_NAME(esp_matmul_f32)(void *const *base, const void *rows, int32_t count) {
  matmul_job job = {base, rows, PRODUCT_REGISTERS * ESP_VECTOR, MATMUL_ROWS};
  // Smaller tasks until there are some for each thread.
  const int32_t wanted = 3 * esp_threads();
  while (job.height > 2 * MATMUL_A_ROWS && matmul_all_tasks(&job, count) < wanted) job.height /= 2;
  while (job.columns > ESP_VECTOR && matmul_all_tasks(&job, count) < esp_threads()) job.columns /= 2;
  esp_parallel(matmul_all_tasks(&job, count), ESP_NAME(matmul_task), &job);
}
#endif
