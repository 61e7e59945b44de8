// Gradient norm, clipping and the updates of SGD, Adam and RMSProp, as in PyTorch. A row is a piece of a parameter.
//
// Every update multiplies the gradient by scale[0] and writes nothing when scale[2] is not 0, else it counts a step.

// partial[row] = Σ g². items: 1
__kernel void esp_squared_norm(__global const float *restrict g, __global esp_sum *restrict partials,
                               __global const esp_squared_norm_row *restrict rows) {
  ESP_ROW(esp_squared_norm_row);
  const int count = row->count;
  g = ESP_AT(g, 0);
  partials = ESP_AT(partials, 1);
  ESP_ITEMS(item, 1) {
    esp_sum16_t sums = ESP_ZERO16;
    int i = 0;
    for (; i + 16 <= count; i += 16) {
      const float16 v = vload16(0, g + i);
      sums = esp_product16(sums, v, v);
    }
    if (i < count) {
      const float16 v = esp_load_float(g + i, count - i);
      sums = esp_product16(sums, v, v);
    }
    partials[0] = esp_fold16(sums);
  }
}

// items: 1
__kernel void esp_clip_scale(__global const esp_sum *restrict partials, __global float *restrict scale,
                             __global float *restrict flag, __global const esp_clip_scale_row *restrict rows) {
  ESP_ROW(esp_clip_scale_row);
  const int count = row->count;
  const float maximum = row->scalar[0];
  partials = ESP_AT(partials, 0);
  scale = ESP_AT(scale, 1);
  flag = ESP_AT(flag, 2);
  ESP_ITEMS(item, 1) {
    esp_sum sum = ESP_ZERO;
    for (int i = 0; i < count; i++) sum = esp_add(sum, partials[i]);
    const float norm = esp_root(sum), factor = maximum / (norm + 1e-6f);
    scale[0] = maximum != 0.0f && factor < 1.0f ? factor : 1.0f;
    scale[1] = norm;
    if (!isfinite(norm)) flag[0] = 1.0f;
    scale[2] = flag[0];
  }
}

// What every update begins with: its row, where its operands lie, and the chunks to do, none when it is stopped.
#define ESP_UPDATE(type)                                            \
  ESP_ROW(type);                                                    \
  scale = ESP_AT(scale, 0);                                         \
  w = ESP_AT(w, 2);                                                 \
  g = ESP_AT(g, 3);                                                 \
  const float factor = scale[0];                                    \
  const int chunks = scale[2] != 0.0f ? 0 : ESP_CHUNKS(row->count); \
  if (chunks > 0 && get_global_id(0) == 0 && ESP_HERE(1)) ESP_AT(steps, 1)[0]++
// Runs the statement for this item's elements: n of them from i on.
#define ESP_UPDATE_ELEMENTS                                                                             \
  ESP_ITEMS(item, chunks)                                                                               \
    for (int i = item * ESP_CHUNK, end = min(row->count, i + ESP_CHUNK), n = min(16, end - i); i < end; \
         i += 16, n = min(16, end - i))

// items: (count + 1023) / 1024
__kernel void esp_sgd(__global const float *restrict scale, __global int *restrict steps, __global float *restrict w,
                      __global const float *restrict g, __global float *restrict m,
                      __global const esp_sgd_row *restrict rows) {
  ESP_UPDATE(esp_sgd_row);
  const float rate = row->scalar[0], momentum = row->scalar[1], dampening = row->scalar[2], decay = row->scalar[3];
  const int nesterov = row->nesterov, first = row->first;
  const bool moving = ESP_HERE(4);
  m = ESP_AT(m, 4);
  ESP_UPDATE_ELEMENTS {
    const float16 value = esp_load_float(w + i, n);
    float16 step = fma((float16)decay, value, esp_load_float(g + i, n) * factor);
    if (moving) {
      const float16 kept =
          first ? step : fma((float16)momentum, esp_load_float(m + i, n), (1.0f - dampening) * step);
      esp_store_float(kept, m + i, n);
      step = nesterov ? fma((float16)momentum, kept, step) : kept;
    }
    esp_store_float(fma((float16)-rate, step, value), w + i, n);
  }
}

// items: (count + 1023) / 1024
__kernel void esp_adam(__global const float *restrict scale, __global int *restrict steps, __global float *restrict w,
                       __global const float *restrict g, __global float *restrict m, __global float *restrict v,
                       __global const esp_adam_row *restrict rows) {
  ESP_UPDATE(esp_adam_row);
  const int decoupled = row->decoupled;
  const float rate = row->scalar[0], beta2 = row->scalar[2], epsilon = row->scalar[3];
  const float decay = row->scalar[4], step_size = rate / row->scalar[5], root = row->scalar[6];
  const float fresh1 = row->scalar[7], fresh2 = row->scalar[8];
  m = ESP_AT(m, 4);
  v = ESP_AT(v, 5);
  ESP_UPDATE_ELEMENTS {
    float16 value = esp_load_float(w + i, n), gradient = esp_load_float(g + i, n) * factor;
    if (decoupled) value *= 1.0f - rate * decay;
    else gradient = fma((float16)decay, value, gradient);
    float16 first = esp_load_float(m + i, n);
    first = fma((float16)fresh1, gradient - first, first);
    const float16 second = fma((float16)beta2, esp_load_float(v + i, n), fresh2 * gradient * gradient);
    esp_store_float(first, m + i, n);
    esp_store_float(second, v + i, n);
    esp_store_float(value - step_size * first / (sqrt(second) / root + epsilon), w + i, n);
  }
}

// items: (count + 1023) / 1024
__kernel void esp_rmsprop(__global const float *restrict scale, __global int *restrict steps,
                          __global float *restrict w, __global const float *restrict g, __global float *restrict v,
                          __global float *restrict m, __global float *restrict b,
                          __global const esp_rmsprop_row *restrict rows) {
  ESP_UPDATE(esp_rmsprop_row);
  const float rate = row->scalar[0], alpha = row->scalar[1], epsilon = row->scalar[2], decay = row->scalar[3];
  const float momentum = row->scalar[4], fresh = row->scalar[5];
  const bool centered = ESP_HERE(5), moving = ESP_HERE(6);
  v = ESP_AT(v, 4);
  m = ESP_AT(m, 5);
  b = ESP_AT(b, 6);
  ESP_UPDATE_ELEMENTS {
    const float16 value = esp_load_float(w + i, n);
    const float16 gradient = fma((float16)decay, value, esp_load_float(g + i, n) * factor);
    const float16 second = fma((float16)alpha, esp_load_float(v + i, n), fresh * gradient * gradient);
    esp_store_float(second, v + i, n);
    float16 spread = second;
    if (centered) {
      float16 mean = esp_load_float(m + i, n);
      mean = fma((float16)fresh, gradient - mean, mean);
      esp_store_float(mean, m + i, n);
      spread = fma(-mean, mean, second);
    }
    float16 step = gradient / (sqrt(spread) + epsilon);
    if (moving) {
      step = fma((float16)momentum, esp_load_float(b + i, n), step);
      esp_store_float(step, b + i, n);
    }
    esp_store_float(fma((float16)-rate, step, value), w + i, n);
  }
}
