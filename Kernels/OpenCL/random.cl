// Random numbers: Philox 4x32-10 (Salmon et al. 2011) with counter (element / 4, 0, draw, step) and key (seed low, seed
// high), so that an element's number depends on nothing but those. 16 counters at a time.
//
// Uniform: (u >> 8)·2⁻²⁴, the same bits on every device. Normal: Box-Muller over the words (0, 1) and (2, 3) of a
// counter, r·cos, r·sin with r = √(−2·log v₀) and the angle 2π·v₁, v = ((u >> 8) + 1)·2⁻²⁴. Gumbel: −log(−log v) with
// v = max(u >> 8, 1)·2⁻²⁴. Keep: 1 / (1 − p) where uniform ≥ p, else 0.

// The high halves of a·b, as products of even and odd lanes: PoCL's mul_hi goes lane by lane.
inline uint16 esp_multiply_high(uint16 a, uint b) {
  const ulong8 pairs = as_ulong8(a), factor = (ulong8)(ulong)b;
  const ulong8 even = (pairs & 0xffffffffUL) * factor, odd = (pairs >> 32) * factor;
  return as_uint16((even >> 32) | (odd & 0xffffffff00000000UL));
}
inline void esp_philox(uint16 c[4], uint k0, uint k1) {
  ESP_UNROLL for (int round = 0; round < 10; round++) {
    const uint16 low0 = c[0] * 0xd2511f53u, high0 = esp_multiply_high(c[0], 0xd2511f53u);
    const uint16 low1 = c[2] * 0xcd9e8d57u, high1 = esp_multiply_high(c[2], 0xcd9e8d57u);
    c[0] = high1 ^ c[1] ^ k0;
    c[1] = low1;
    c[2] = high0 ^ c[3] ^ k1;
    c[3] = low0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
}
inline float16 esp_uniform16(uint16 u) { return convert_float16(u >> 8) * 0x1.0p-24f; }
// items: (count + 1023) / 1024
__kernel void esp_random(__global float *restrict y, __global const esp_random_row *restrict rows) {
  ESP_ROW(esp_random_row);
  const int kind = row->kind, count = row->count;
  const uint seed0 = as_uint(row->scalar[0]), seed1 = as_uint(row->scalar[1]);
  const uint step = as_uint(row->scalar[2]), draw = as_uint(row->scalar[3]);
  const float p = row->scalar[4], kept = 1.0f / (1.0f - p);
  const uint16 lane = (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  y = ESP_AT(y, 0);
  ESP_ITEMS(item, ESP_CHUNKS(count)) {
    const long end = min((long)count, ((long)item + 1) * ESP_CHUNK);
    for (long i = (long)item * ESP_CHUNK; i < end; i += 64) {
      uint16 c[4] = {(uint)(i / 4) + lane, (uint16)0u, (uint16)draw, (uint16)step};
      esp_philox(c, seed0, seed1);
      float16 v[4];
      switch (kind) {
        case ESP_NORMAL:
          for (int k = 0; k < 4; k += 2) {
            const float16 r = sqrt(-2.0f * log((convert_float16(c[k] >> 8) + 1.0f) * 0x1.0p-24f));
            const float16 turns = (convert_float16(c[k + 1] >> 8) + 1.0f) * 0x1.0p-23f;
            v[k] = r * cospi(turns);
            v[k + 1] = r * sinpi(turns);
          }
          break;
        case ESP_GUMBEL:
          for (int k = 0; k < 4; k++) v[k] = -log(-log(fmax(esp_uniform16(c[k]), 0x1.0p-24f)));
          break;
        case ESP_KEEP:
          for (int k = 0; k < 4; k++) v[k] = esp_uniform16(c[k]) >= p ? (float16)kept : (float16)0.0f;
          break;
        default:
          for (int k = 0; k < 4; k++) v[k] = esp_uniform16(c[k]);
      }
      // Lane j of the four words makes elements 4j … 4j + 3.
      const float16 a = (float16)(v[0].s0, v[1].s0, v[2].s0, v[3].s0, v[0].s1, v[1].s1, v[2].s1, v[3].s1,
                                  v[0].s2, v[1].s2, v[2].s2, v[3].s2, v[0].s3, v[1].s3, v[2].s3, v[3].s3);
      const float16 b = (float16)(v[0].s4, v[1].s4, v[2].s4, v[3].s4, v[0].s5, v[1].s5, v[2].s5, v[3].s5,
                                  v[0].s6, v[1].s6, v[2].s6, v[3].s6, v[0].s7, v[1].s7, v[2].s7, v[3].s7);
      const float16 d = (float16)(v[0].s8, v[1].s8, v[2].s8, v[3].s8, v[0].s9, v[1].s9, v[2].s9, v[3].s9,
                                  v[0].sa, v[1].sa, v[2].sa, v[3].sa, v[0].sb, v[1].sb, v[2].sb, v[3].sb);
      const float16 e = (float16)(v[0].sc, v[1].sc, v[2].sc, v[3].sc, v[0].sd, v[1].sd, v[2].sd, v[3].sd,
                                  v[0].se, v[1].se, v[2].se, v[3].se, v[0].sf, v[1].sf, v[2].sf, v[3].sf);
      const int n = (int)min((long)64, end - i);
      esp_store_float(a, y + i, n);
      if (n > 16) esp_store_float(b, y + i + 16, n - 16);
      if (n > 32) esp_store_float(d, y + i + 32, n - 32);
      if (n > 48) esp_store_float(e, y + i + 48, n - 48);
    }
  }
}
