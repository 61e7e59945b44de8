// Rows of a table by index, the transpose of that (in the order of the indices, no atomics), and one-hot rows.
// An index outside the table reads zeros and receives nothing.

// items: count · ((width + 1023) / 1024)
__kernel void esp_gather(__global const float *restrict table, __global const int *restrict index,
                         __global float *restrict y, __global const esp_gather_row *restrict rows) {
  ESP_ROW(esp_gather_row);
  const int size = row->rows, width = row->width, chunks = ESP_CHUNKS(width);
  table = ESP_AT(table, 0);
  index = ESP_AT(index, 1);
  y = ESP_AT(y, 2);
  ESP_ITEMS(item, row->count * chunks) {
    const int m = item / chunks, first = item % chunks * ESP_CHUNK, end = min(width, first + ESP_CHUNK);
    const int v = index[m];
    const bool known = v >= 0 && v < size;
    for (int i = first; i < end; i += 16) {
      const int n = min(16, end - i);
      const float16 value = known ? esp_load_float(table + (long)v * width + i, n) : (float16)0.0f;
      esp_store_float(value, y + (long)m * width + i, n);
    }
  }
}

// items: rows · ((width + 15) / 16). Operands: dy, index, dtable.
__kernel void esp_gather_backward(__global const float *restrict dy, __global const int *restrict index,
                                  __global float *restrict dtable,
                                  __global const esp_gather_backward_row *restrict rows) {
  ESP_ROW(esp_gather_backward_row);
  const int width = row->width, count = row->count, blocks = ESP_BLOCKS(width);
  dy = ESP_AT(dy, 0);
  index = ESP_AT(index, 1);
  dtable = ESP_AT(dtable, 2);
  ESP_ITEMS(item, row->rows * blocks) {
    const int v = item / blocks, first = item % blocks * 16, n = min(16, width - first);
    float16 sum = 0.0f;
    for (int m = 0; m < count; m++) {
      if (index[m] == v) sum += esp_load_float(dy + (long)m * width + first, n);
    }
    esp_store_float(sum, dtable + (long)v * width + first, n);
  }
}

// items: (count · classes + 1023) / 1024
__kernel void esp_one_hot(__global const int *restrict index, __global float *restrict y,
                          __global const esp_one_hot_row *restrict rows) {
  ESP_ROW(esp_one_hot_row);
  const int classes = row->classes;
  const long total = (long)row->count * classes;
  index = ESP_AT(index, 0);
  y = ESP_AT(y, 1);
  ESP_ITEMS(item, ESP_CHUNKS(total)) {
    const long end = min(total, ((long)item + 1) * ESP_CHUNK);
    for (long i = (long)item * ESP_CHUNK; i < end; i++) y[i] = index[i / classes] == (int)(i % classes) ? 1.0f : 0.0f;
  }
}
