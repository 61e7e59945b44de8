// y[b] = op(a[b])·op(b[b]), batched, row-major with leading dimensions.
#include <stdint.h>
#include "../include/CKernels.h"

// Rows of y a task.
#define TASK_ROWS 16

typedef struct {
  void *const *base;
  const esp_matmul_row *rows;
} matmul_job;

static int32_t matmul_tasks(const esp_matmul_row *row) { return row->batch * ((row->m + TASK_ROWS - 1) / TASK_ROWS); }

#define SCALAR_MATMUL(REAL, suffix)                                                                              \
  static void matmul_task_##suffix(void *context, int32_t index) {                                               \
    const matmul_job *job = context;                                                                             \
    const esp_matmul_row *row = job->rows;                                                                       \
    while (index >= matmul_tasks(row)) index -= matmul_tasks(row), row++;                                        \
    const int32_t blocks = (row->m + TASK_ROWS - 1) / TASK_ROWS, batch = index / blocks;                         \
    const int32_t first = index % blocks * TASK_ROWS, end = first + TASK_ROWS < row->m ? first + TASK_ROWS : row->m; \
    const REAL *a = (const REAL *)job->base[0] + row->operand[0].offset + (int64_t)batch * row->batch_a;         \
    const REAL *b = (const REAL *)job->base[1] + row->operand[1].offset + (int64_t)batch * row->batch_b;         \
    REAL *y = (REAL *)job->base[2] + row->operand[2].offset + (int64_t)batch * row->batch_y;                     \
    const int64_t a_row = row->transpose_a ? 1 : row->lda, a_k = row->transpose_a ? row->lda : 1;                \
    const int64_t b_k = row->transpose_b ? 1 : row->ldb, b_column = row->transpose_b ? row->ldb : 1;             \
    for (int32_t i = first; i < end; i++) {                                                                      \
      REAL *out = y + (int64_t)i * row->ldy;                                                                     \
      for (int32_t j = 0; j < row->n; j++) out[j] = 0;                                                           \
      for (int32_t k = 0; k < row->k; k++) {                                                                     \
        const REAL factor = a[i * a_row + k * a_k];                                                              \
        for (int32_t j = 0; j < row->n; j++) out[j] += factor * b[k * b_k + j * b_column];                       \
      }                                                                                                          \
    }                                                                                                            \
  }                                                                                                              \
  void esp_matmul_##suffix(void *const *base, const void *rows, int32_t count) {                                 \
    matmul_job job = {base, rows};                                                                               \
    int32_t tasks = 0;                                                                                           \
    for (int32_t i = 0; i < count; i++) tasks += matmul_tasks(job.rows + i);                                     \
    esp_parallel(tasks, matmul_task_##suffix, &job);                                                             \
  }

SCALAR_MATMUL(double, f64)
SCALAR_MATMUL(float, f32)
