// What the kernels of all stems share: partial vectors, ranges of contiguous elements, strided views, exact sums.
//
// Every kernel takes one pointer per operand of its row, in order, then the rows. Dimension 1 is the row; dimension 0
// is an item of the row: enough work for a CPU core (16 channels as one float16), any local size, no barrier. The comment
// above a kernel says how many items a row has; where fewer are launched, each does several.
#define ESP_ROW(type) const __global type *row = rows + get_global_id(1)
#define ESP_ITEMS(item, count) for (int item = get_global_id(0); item < (count); item += (int)get_global_size(0))

// The first element of operand k behind `base`.
#define ESP_AT(base, k) ((base) + row->operand[k].offset)
#define ESP_HERE(k) (!(row->operand[k].flags & ESP_ABSENT))
#define ESP_BLOCKS(count) (((count) + 15) / 16)
#define ESP_UNROLL _Pragma("unroll")

// ---- the first n ≤ 16 elements of a vector; the others are 0 when loaded and untouched when stored ----

#define ESP_PARTS(type)                                                                            \
  inline type##16 esp_load_##type(const __global type *p, int n) {                                 \
    if (n >= 16) return vload16(0, p);                                                             \
    type##16 v = 0; /* from the end, so that every shift is by a constant and all stays in registers */ \
    int i = n;                                                                                     \
    if (n & 1) v.s0 = p[--i];                                                                      \
    if (n & 2) { i -= 2; v.s2 = v.s0; v.s01 = vload2(0, p + i); }                                  \
    if (n & 4) { i -= 4; v.lo.hi = v.lo.lo; v.lo.lo = vload4(0, p + i); }                          \
    if (n & 8) { v.hi = v.lo; v.lo = vload8(0, p); }                                               \
    return v;                                                                                      \
  }                                                                                                \
  inline void esp_store_##type(type##16 v, __global type *p, int n) {                              \
    if (n >= 16) { vstore16(v, 0, p); return; }                                                    \
    if (n & 8) { vstore8(v.lo, 0, p); p += 8; v.lo = v.hi; }                                       \
    if (n & 4) { vstore4(v.lo.lo, 0, p); p += 4; v.lo.lo = v.lo.hi; }                              \
    if (n & 2) { vstore2(v.lo.lo.lo, 0, p); p += 2; v.s0 = v.s2; }                                 \
    if (n & 1) *p = v.s0;                                                                          \
  }
ESP_PARTS(float)
ESP_PARTS(int)
ESP_PARTS(uchar)
ESP_PARTS(ulong)

// Lanes from n on become `rest`.
inline float16 esp_first(float16 v, int n, float rest) {
  const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return lane < n ? v : (float16)rest;
}
// The 16 lanes in one fixed order.
inline float esp_sum16(float16 v) {
  float8 a = v.lo + v.hi;
  float4 b = a.lo + a.hi;
  return (b.s0 + b.s2) + (b.s1 + b.s3);
}

// Eight vectors of n elements, `step` apart, to and from registers. Only the whole ones are unrolled: eight copies of
// the partial case would take the compiler longer than they save.
#define ESP_LOAD8(acc, p, step, n)                                                                 \
  if ((n) == 16) {                                                                                 \
    ESP_UNROLL for (int t = 0; t < 8; t++) acc[t] = vload16(0, (p) + t * (step));                  \
  } else {                                                                                         \
    float16 esp_kept[8];                                                                           \
    for (int t = 0; t < 8; t++) esp_kept[t] = esp_load_float((p) + t * (step), n);                 \
    ESP_UNROLL for (int t = 0; t < 8; t++) acc[t] = esp_kept[t];                                   \
  }
#define ESP_STORE8(acc, p, step, n, count)                                                         \
  if ((n) == 16 && (count) == 8) {                                                                 \
    ESP_UNROLL for (int t = 0; t < 8; t++) vstore16(acc[t], 0, (p) + t * (step));                  \
  } else {                                                                                         \
    float16 esp_kept[8];                                                                           \
    ESP_UNROLL for (int t = 0; t < 8; t++) esp_kept[t] = acc[t];                                   \
    for (int t = 0; t < (count); t++) esp_store_float(esp_kept[t], (p) + t * (step), n);           \
  }

// ---- ranges: item i of [pixels, channels] is elements 1024·i … of the flattened index, walked as contiguous runs ----

#define ESP_CHUNK 1024
#define ESP_CHUNKS(count) ((int)(((long)(count) + ESP_CHUNK - 1) / ESP_CHUNK))
// Runs the statement for each run of item `item`: `pixel`, first `channel` and `length`. Where all operands are dense
// the range is one run: pass dense, and pixel 0 then has all channels.
#define ESP_RUNS(item, pixels, channels, dense)                                                    \
  for (long esp_width = (dense) ? (long)(pixels) * (channels) : (channels),                        \
            esp_total = (long)(pixels) * (channels), esp_at = (long)(item) * ESP_CHUNK,            \
            esp_end = min(esp_at + ESP_CHUNK, esp_total), pixel = 0, channel = 0, length = 0;      \
       esp_at < esp_end && (pixel = esp_at / esp_width, channel = esp_at % esp_width,              \
                            length = min(esp_width - channel, esp_end - esp_at), 1);               \
       esp_at += length)

// ---- strided views: dimensions of size 1 dropped, neighbours merged where every operand allows it ----

typedef struct {
  int size[ESP_RANK], stride[4][ESP_RANK], position[ESP_RANK];
  long total;
} esp_view;

inline void esp_view_begin(esp_view *v) {
  for (int d = 0; d < ESP_RANK; d++) {
    v->size[d] = 1;
    for (int k = 0; k < 4; k++) v->stride[k][d] = 0;
  }
  v->total = 1;
}
// Adds a dimension outside those already there (innermost first); `to` is where the last one went.
inline int esp_view_add(esp_view *v, int to, int operands, int size, int s0, int s1, int s2, int s3) {
  v->total *= size;
  if (size == 1) return to;
  const int s[4] = {s0, s1, s2, s3};
  bool merges = to < ESP_RANK;
  for (int k = 0; k < operands && merges; k++) merges = s[k] == v->stride[k][to] * v->size[to];
  if (merges) {
    v->size[to] *= size;
    return to;
  }
  to--;
  v->size[to] = size;
  for (int k = 0; k < operands; k++) v->stride[k][to] = s[k];
  return to;
}
// Moves to the flattened index `at`; to the start of the next innermost run; the offset of operand k's element there.
inline void esp_view_seek(esp_view *v, long at) {
  for (int d = ESP_RANK - 1; d >= 0; d--) {
    v->position[d] = at % v->size[d];
    at /= v->size[d];
  }
}
inline void esp_view_next(esp_view *v) {
  v->position[ESP_RANK - 1] = 0;
  for (int d = ESP_RANK - 2; d >= 0 && ++v->position[d] == v->size[d]; d--) v->position[d] = 0;
}
inline long esp_view_offset(const esp_view *v, int k) {
  long offset = 0;
  for (int d = 0; d < ESP_RANK; d++) offset += (long)v->position[d] * v->stride[k][d];
  return offset;
}
// Runs the statement for each innermost run of item `item`: `length` elements from the view's position.
#define ESP_VIEW_RUNS(view, item)                                                                  \
  for (long esp_at = (long)(item) * ESP_CHUNK, esp_end = min(esp_at + ESP_CHUNK, (view).total),    \
            length = (esp_view_seek(&(view), esp_at), 0);                                          \
       esp_at < esp_end &&                                                                         \
       (length = min((long)(view).size[ESP_RANK - 1] - (view).position[ESP_RANK - 1], esp_end - esp_at), 1); \
       esp_at += length, esp_view_next(&(view)))
// 16 elements, n of them real, with stride s from p.
#define ESP_GATHERS(type)                                                                          \
  inline type##16 esp_gather_##type(const __global type *p, int s, int n) {                        \
    if (s == 1) return esp_load_##type(p, n);                                                      \
    if (s == 0) return (type##16)(*p);                                                             \
    type t[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};                                 \
    for (int i = 0; i < n; i++) t[i] = p[(long)i * s];                                             \
    return vload16(0, t);                                                                          \
  }                                                                                                \
  inline void esp_scatter_##type(type##16 v, __global type *p, int s, int n) {                     \
    if (s == 1) { esp_store_##type(v, p, n); return; }                                             \
    type t[16];                                                                                    \
    vstore16(v, 0, t);                                                                             \
    for (int i = 0; i < n; i++) p[(long)i * s] = t[i];                                             \
  }
ESP_GATHERS(float)
ESP_GATHERS(int)
ESP_GATHERS(uchar)
ESP_GATHERS(ulong)

// ---- sums of many floats: in double, or in two floats (hi + lo) on a device without it or with ESP_TWO_FLOAT ----

#if defined(cl_khr_fp64) && !defined(ESP_TWO_FLOAT)
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef double esp_sum;  // also what a workspace holds: 8 bytes
typedef double16 esp_sum16_t;
#define ESP_ZERO 0.0
#define ESP_ZERO16 (double16)0.0
inline esp_sum esp_add(esp_sum a, esp_sum b) { return a + b; }
inline esp_sum esp_product(esp_sum a, float x, float y) { return fma((double)x, (double)y, a); }
inline esp_sum esp_divide(esp_sum a, float n) { return a / n; }
inline esp_sum esp_times(esp_sum a, esp_sum b) { return a * b; }
inline esp_sum esp_negate(esp_sum a) { return -a; }
inline esp_sum esp_widen(float x) { return x; }
inline float esp_narrow(esp_sum a) { return (float)a; }
inline float esp_root(esp_sum a) { return (float)sqrt(a); }
inline esp_sum16_t esp_add16(esp_sum16_t a, float16 x) { return a + convert_double16(x); }
inline esp_sum16_t esp_product16(esp_sum16_t a, float16 x, float16 y) {
  return fma(convert_double16(x), convert_double16(y), a);
}
inline void esp_lanes16(esp_sum16_t a, esp_sum *lanes) { vstore16(a, 0, lanes); }
#else
typedef float2 esp_sum;  // hi, lo
typedef struct { float16 hi, lo; } esp_sum16_t;
#define ESP_ZERO (float2)0.0f
#define ESP_ZERO16 {(float16)0.0f, (float16)0.0f}
inline esp_sum esp_quick(float a, float b) {  // |a| ≥ |b|
  float s = a + b;
  return (esp_sum)(s, b - (s - a));
}
inline esp_sum esp_add(esp_sum a, esp_sum b) {
  float s = a.x + b.x, t = s - a.x, e = (a.x - (s - t)) + (b.x - t);
  return esp_quick(s, e + (a.y + b.y));
}
inline esp_sum esp_times(esp_sum a, esp_sum b) {
  float p = a.x * b.x;
  return esp_quick(p, fma(a.x, b.x, -p) + (a.x * b.y + a.y * b.x));
}
inline esp_sum esp_product(esp_sum a, float x, float y) {
  float p = x * y;
  return esp_add(a, (esp_sum)(p, fma(x, y, -p)));
}
inline esp_sum esp_divide(esp_sum a, float n) {
  float q = a.x / n, r = fma(-q, n, a.x) + a.y;
  return esp_quick(q, r / n);
}
inline esp_sum esp_negate(esp_sum a) { return -a; }
inline esp_sum esp_widen(float x) { return (esp_sum)(x, 0.0f); }
inline float esp_narrow(esp_sum a) { return a.x + a.y; }
inline float esp_root(esp_sum a) { return sqrt(a.x + a.y); }
inline esp_sum16_t esp_add16(esp_sum16_t a, float16 x) {
  float16 s = a.hi + x, t = s - a.hi;
  a.lo += (a.hi - (s - t)) + (x - t);
  a.hi = s;
  return a;
}
inline esp_sum16_t esp_product16(esp_sum16_t a, float16 x, float16 y) {
  float16 p = x * y;
  a = esp_add16(a, p);
  a.lo += fma(x, y, -p);
  return a;
}
inline void esp_lanes16(esp_sum16_t a, esp_sum *lanes) {
  float hi[16], lo[16];
  vstore16(a.hi, 0, hi);
  vstore16(a.lo, 0, lo);
  for (int i = 0; i < 16; i++) lanes[i] = (esp_sum)(hi[i], lo[i]);
}
#endif
// The 16 lanes of a sum in order.
inline esp_sum esp_fold16(esp_sum16_t a) {
  esp_sum lanes[16], sum = ESP_ZERO;
  esp_lanes16(a, lanes);
  for (int i = 0; i < 16; i++) sum = esp_add(sum, lanes[i]);
  return sum;
}

// ---- convolutions ----

// Output positions o with 0 ≤ o·stride + shift < size form [first, end), for shift = tap·dilation − pad.
inline int esp_first_output(int shift, int stride) { return shift < 0 ? (stride - 1 - shift) / stride : 0; }
inline int esp_end_output(int shift, int stride, int size, int outputs) {
  return size - 1 - shift < 0 ? 0 : min(outputs, (size - 1 - shift) / stride + 1);
}
// The output that a tap takes from an input position: −1 where there is none. `at` = position + pad − tap·dilation.
inline int esp_output_of(int at, int stride, int outputs) {
  return at >= 0 && at % stride == 0 && at / stride < outputs ? at / stride : -1;
}
// Rows and columns of a 16 x 16 block exchanged: v[i].j ↔ v[j].i, by four perfect shuffles of pairs.
inline float16 esp_zip_low(float16 a, float16 b) {
  return (float16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7);
}
inline float16 esp_zip_high(float16 a, float16 b) {
  return (float16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf);
}
inline void esp_transpose16(float16 v[16]) {  // loops on purpose: unrolled, the compiler takes a second over it
  float16 t[16];
  for (int stage = 0; stage < 4; stage++) {
    for (int i = 0; i < 8; i++) {
      t[2 * i] = esp_zip_low(v[i], v[i + 8]);
      t[2 * i + 1] = esp_zip_high(v[i], v[i + 8]);
    }
    for (int i = 0; i < 16; i++) v[i] = t[i];
  }
}
