// Transposition of blocks of sixteen by sixteen floats, for packing a matrix that is needed the other way round.
#include "simd.h"
#ifndef ESP_TRANSPOSE_COMMON
#define ESP_TRANSPOSE_COMMON
#define transpose_block ESP_NAME(transpose_block)
#define pack_transposed ESP_NAME(pack_transposed)
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_TRANSPOSE_16)) || (ESP_VECTOR == 8 && !defined(ESP_TRANSPOSE_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_TRANSPOSE_4))
#if ESP_VECTOR == 16
#define ESP_TRANSPOSE_16
#elif ESP_VECTOR == 8
#define ESP_TRANSPOSE_8
#else
#define ESP_TRANSPOSE_4
#endif

// to[i·to_step + j] = from[j·from_step + i] for i, j < 16.
ESP_INLINE void transpose_block(const float *from, int64_t from_step, float *to, int64_t to_step) {
  vec a[16], b[16];
  ESP_UNROLL for (int i = 0; i < 16; i++) a[i] = vload(from + i * from_step);
  // Four perfect shuffles of the sixteen rows transpose them.
  ESP_UNROLL for (int round = 0; round < 4; round++) {
    ESP_UNROLL for (int i = 0; i < 8; i++) {
      b[2 * i] = __builtin_shufflevector(a[i], a[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      b[2 * i + 1] =
          __builtin_shufflevector(a[i], a[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    ESP_UNROLL for (int i = 0; i < 16; i++) a[i] = b[i];
  }
  ESP_UNROLL for (int i = 0; i < 16; i++) vstore(to + i * to_step, a[i]);
}

// to[i·to_step + j] = from[j·from_step + i] for i < rows, j < columns.
static inline void pack_transposed(const float *from, int64_t from_step, float *to, int64_t to_step, int rows,
                                   int columns) {
  for (int i = 0; i < rows; i += 16) {
    const int height = rows - i < 16 ? rows - i : 16;
    for (int j = 0; j < columns; j += 16) {
      const int width = columns - j < 16 ? columns - j : 16;
      const float *source = from + j * from_step + i;
      float *target = to + i * to_step + j;
      if (height == 16 && width == 16) {
        transpose_block(source, from_step, target, to_step);
        continue;
      }
      for (int q = 0; q < width; q++) {
        for (int p = 0; p < height; p++) target[p * to_step + q] = source[q * from_step + p];
      }
    }
  }
}
#endif
