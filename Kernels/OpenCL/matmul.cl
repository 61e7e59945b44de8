// Batched matrix products, row-major with leading dimensions. Item: 8 rows x 32 columns of one product.
//
// With b as it lies: two vectors across the columns, one broadcast a row. With b transposed: 4 x 4 dot products along k.
// Rows and columns beyond the end repeat the last one and are not stored.

inline void esp_matmul_columns(const __global float *a, const int row_a, const int step_a, const __global float *b,
                               const int ldb, __global float *y, const int ldy, const int k, const int m, const int n) {
  const int n0 = min(16, n), n1 = n - n0;
  float16 acc0[8], acc1[8];
  long at[8];
  ESP_UNROLL for (int t = 0; t < 8; t++) {
    acc0[t] = 0.0f;
    acc1[t] = 0.0f;
    at[t] = (long)min(t, m - 1) * row_a;
  }
  if (n1 > 0) {
    for (int i = 0; i < k; i++, b += ldb, a += step_a) {
      const float16 v0 = vload16(0, b), v1 = esp_load_float(b + 16, n1);
      ESP_UNROLL for (int t = 0; t < 8; t++) {
        const float16 u = (float16)a[at[t]];
        acc0[t] = fma(u, v0, acc0[t]);
        acc1[t] = fma(u, v1, acc1[t]);
      }
    }
  } else {
    for (int i = 0; i < k; i++, b += ldb, a += step_a) {
      const float16 v0 = esp_load_float(b, n0);
      ESP_UNROLL for (int t = 0; t < 8; t++) acc0[t] = fma((float16)a[at[t]], v0, acc0[t]);
    }
  }
  ESP_STORE8(acc0, y, (long)ldy, n0, m)
  if (n1 > 0) {
    ESP_STORE8(acc1, y + 16, (long)ldy, n1, m)
  }
}

inline void esp_matmul_dots(const __global float *a, const int row_a, const int step_a, const __global float *b,
                            const int ldb, __global float *y, const int ldy, const int k, const int m, const int n) {
  for (int i0 = 0; i0 < m; i0 += 4) {
    for (int j0 = 0; j0 < n; j0 += 4) {
      float16 acc[4][4];
      ESP_UNROLL for (int i = 0; i < 4; i++) {
        ESP_UNROLL for (int j = 0; j < 4; j++) acc[i][j] = 0.0f;
      }
      for (int l = 0; l < k; l += 16) {
        const int lanes = min(16, k - l);
        float16 v[4];
        ESP_UNROLL for (int j = 0; j < 4; j++) v[j] = esp_load_float(b + (long)min(j0 + j, n - 1) * ldb + l, lanes);
        ESP_UNROLL for (int i = 0; i < 4; i++) {
          const float16 u = esp_gather_float(a + (long)min(i0 + i, m - 1) * row_a + (long)l * step_a, step_a, lanes);
          ESP_UNROLL for (int j = 0; j < 4; j++) acc[i][j] = fma(u, v[j], acc[i][j]);
        }
      }
      ESP_UNROLL for (int i = 0; i < 4; i++) {
        ESP_UNROLL for (int j = 0; j < 4; j++) {
          if (i0 + i < m && j0 + j < n) y[(long)(i0 + i) * ldy + j0 + j] = esp_sum16(acc[i][j]);
        }
      }
    }
  }
}

// items: batch · ((m + 7) / 8) · ((n + 31) / 32)
__kernel void esp_matmul(__global const float *restrict a, __global const float *restrict b,
                         __global float *restrict y, __global const esp_matmul_row *restrict rows) {
  ESP_ROW(esp_matmul_row);
  const int m = row->m, n = row->n, k = row->k, lda = row->lda, ldb = row->ldb, ldy = row->ldy;
  const int transpose_b = row->transpose_b;
  const int row_a = row->transpose_a ? 1 : lda, step_a = row->transpose_a ? lda : 1;
  const int columns = (n + 31) / 32, tiles = (m + 7) / 8 * columns;
  a = ESP_AT(a, 0);
  b = ESP_AT(b, 1);
  y = ESP_AT(y, 2);
  ESP_ITEMS(item, row->batch * tiles) {
    const int batch = item / tiles, i = item % tiles / columns * 8, j = item % columns * 32;
    const __global float *u = a + (long)batch * row->batch_a + (long)i * row_a;
    const __global float *v = b + (long)batch * row->batch_b + (transpose_b ? (long)j * ldb : (long)j);
    __global float *o = y + (long)batch * row->batch_y + (long)i * ldy + j;
    const int rest_m = min(8, m - i), rest_n = min(32, n - j);
    if (transpose_b) esp_matmul_dots(u, row_a, step_a, v, ldb, o, ldy, k, rest_m, rest_n);
    else esp_matmul_columns(u, row_a, step_a, v, ldb, o, ldy, k, rest_m, rest_n);
  }
}
