// The rows: what one kernel call computes, as plain 32-bit fields shared by C, OpenCL C and Swift.
//
// A launch is one kernel, one base pointer per operand, and an array of rows of one type. A row names, for each of its
// operands, where it lies behind that operand's base. The first field of every row is `operand[K]`, the next (where the
// kernel has floats) `scalar[S]`; the planner patches both without knowing the kernel. Then come structural integers.
//
// Memory: 4-D tensors [N, C, H, W] lie channels-last: element (n, c, h, w) is at
// offset + ((n·H + h)·W + w)·stride + c, with `stride` (the pixel stride, in elements) at least C. Every other rank is
// dense and row-major. Convolution weights [K, C/g, R, S] lie as [R, S, C/g, K], dense. Bools and pool indices are one
// byte. Offsets and strides count elements of the operand's own type.
#ifndef ESP_ROWS_H
#define ESP_ROWS_H

#ifdef __OPENCL_VERSION__
typedef uint esp_u32;
typedef int esp_i32;
#else
#include <stdint.h>
typedef uint32_t esp_u32;
typedef int32_t esp_i32;
#endif

// Operand flag: the tensor is exactly zero and must not be read. Only kernels that say so accept it.
#define ESP_ABSENT 1u
// Operand flag: the row adds to what is there instead of replacing it. Only kernels that say so accept it: a sum of many
// terms is then rows that follow one another, the first without the flag, in one call or in several.
#define ESP_ACCUMULATE 2u

typedef struct {
  esp_u32 offset;  // first element, behind the operand's base
  esp_i32 stride;  // pixel stride in elements for 4-D tensors; last dimension otherwise
  esp_u32 flags;
} esp_operand;

// Strided views: up to six dimensions, outermost first; unused leading dimensions have size 1 and stride 0.
#define ESP_RANK 6

// ---- elementwise ----

enum esp_unary_kind {
  ESP_NEGATE, ESP_ABS, ESP_EXP, ESP_LOG, ESP_SQRT, ESP_RSQRT, ESP_RECIPROCAL, ESP_SQUARE, ESP_SIGN, ESP_ERF,
  ESP_RELU, ESP_RELU6, ESP_LEAKY_RELU /* slope scalar[0] */, ESP_SIGMOID, ESP_TANH, ESP_HARD_SWISH, ESP_GELU /* erf */,
  ESP_SILU, ESP_AFFINE /* scalar[0]·x + scalar[1] */, ESP_CLAMP /* to [scalar[0], scalar[1]] */, ESP_POW /* x^scalar[0] */
};
// y = f(x); `pixels` runs of `channels` contiguous elements, a run every `stride` elements.
typedef struct {
  esp_operand operand[2];  // x, y
  float scalar[2];
  esp_i32 kind, pixels, channels;
} esp_unary_row;

enum esp_binary_kind {
  ESP_ADD, ESP_SUBTRACT, ESP_MULTIPLY, ESP_DIVIDE, ESP_POWER, ESP_MAXIMUM, ESP_MINIMUM,
  ESP_RELU_MASK /* b > 0 ? a : 0: the backward of relu */,
  ESP_RELU6_MASK /* 0 < b < 6 ? a : 0 */,
  ESP_GREATER, ESP_GREATER_EQUAL, ESP_LESS, ESP_LESS_EQUAL, ESP_EQUAL, ESP_NOT_EQUAL  // these write bytes 0 or 1
};
// y = f(a, b) over `size`, each operand with its own strides (0 where it is broadcast). Absent a or b is 0.
typedef struct {
  esp_operand operand[3];  // a, b, y
  esp_i32 kind;
  esp_i32 size[ESP_RANK], stride_a[ESP_RANK], stride_b[ESP_RANK], stride_y[ESP_RANK];
} esp_binary_row;

// y = condition ? a : b.
typedef struct {
  esp_operand operand[4];  // condition (bytes), a, b, y
  esp_i32 size[ESP_RANK], stride_c[ESP_RANK], stride_a[ESP_RANK], stride_b[ESP_RANK], stride_y[ESP_RANK];
} esp_select_row;

// y[view] = x[view]: reshape, permute, slice, broadcast, pad and concatenate, each a choice of strides (may be negative
// for x). `base_x`, `base_y`: elements added to the operands' offsets.
typedef struct {
  esp_operand operand[2];  // x, y
  esp_i32 base_x, base_y;
  esp_i32 size[ESP_RANK], stride_x[ESP_RANK], stride_y[ESP_RANK];
} esp_copy_row;

// y = scalar[0], or the bits of scalar[0] for integer types.
typedef struct {
  esp_operand operand[1];  // y
  float scalar[1];
  esp_i32 pixels, channels;
} esp_fill_row;

// y = x in another type; element types as in esp_type.
enum esp_type { ESP_FLOAT32, ESP_FLOAT64, ESP_INT32, ESP_BYTE };
typedef struct {
  esp_operand operand[2];  // x, y
  esp_i32 from, to, pixels, channels;
} esp_cast_row;

// ---- sums of many tensors ----

#define ESP_COMBINE_MAX 16
// y = Σ_k weight[k]·x_k over k < count, in order; weights absent: all 1. Absent x_k are skipped. Reads weight index[k].
typedef struct {
  esp_operand operand[ESP_COMBINE_MAX + 2];  // x_0 … x_15, weights, y (unused x: flags absent)
  esp_i32 index[ESP_COMBINE_MAX];            // data, patched like scalars: which weight is no part of a plan
  esp_i32 count, pixels, channels;
} esp_combine_row;
// dweight[index[k]] = Σ dy·x_k: one partial an image (pixels / images pixels each), added in order, in double.
// Absent x_k give 0.
typedef struct {
  esp_operand operand[ESP_COMBINE_MAX + 3];  // x_0 … x_15, dy, dweights, workspace (double: count · images)
  esp_i32 index[ESP_COMBINE_MAX];            // data, as above
  esp_i32 count, images, pixels, channels;
} esp_combine_backward_row;

// One term of a node: y = w·x̂, x̂ = (x − mean)·rsqrt(variance + ε), ε = scalar[0], w = weights[index]. Absent mean: x̂ = x.
// Absent weights: w = 1. Absent x and mean: no term. Rows that follow one another with ESP_ACCUMULATE on y are terms of
// one sum.
typedef struct {
  esp_operand operand[5];  // x, mean [C], variance [C], weights, y
  float scalar[1];
  esp_i32 index;  // data, patched like scalars
  esp_i32 pixels, channels;
} esp_combine_normalized_row;
// What one term of a node gives back, from the node's upstream gradient dy alone: sums[0, c] = Σ dy and
// sums[1, c] = Σ dy·x̂, which with γ = `scale` (every element w) are what the backward of the batch norm needs, and
// dweights[index] = Σ dy·x̂. Absent mean: x̂ = x, and there are no sums. Absent weights: w = 1. Absent dweights: not
// computed; else it is cleared first, unless ESP_ACCUMULATE is on it. One partial an image, added in order, in double.
typedef struct {
  esp_operand operand[9];  // x, mean [C], variance [C], dy, weights, sums [2, C], scale [C], dweights [weights],
                           // workspace (double: 2 · images · channels)
  float scalar[1];         // ε
  esp_i32 index;           // data, patched like scalars
  esp_i32 images, pixels, channels, weights;  // `pixels`: of an image
} esp_combine_sums_row;

// ---- reductions ----

enum esp_reduce_kind { ESP_SUM, ESP_MEAN, ESP_MAX, ESP_ARGMAX /* int32, first maximum wins */, ESP_VARIANCE /* divides by count − correction */ };
// y[kept] = reduce over `reduced` of x; y is dense in the order of `kept`. Sums in a fixed order, in double (or
// compensated float where there is no double), whatever the number of threads.
typedef struct {
  esp_operand operand[2];  // x, y
  esp_i32 kind, correction;
  esp_i32 kept[4], kept_stride[4], reduced[4], reduced_stride[4];  // outermost first, 1 where unused
} esp_reduce_row;

// y = softmax (or log-softmax) over the middle of [outer, size, inner], dense.
typedef struct {
  esp_operand operand[2];  // x, y
  esp_i32 outer, size, inner, logarithm;
} esp_softmax_row;
// softmax: dx = y·(dy − Σ dy·y); log-softmax: dx = dy − exp(y)·Σ dy.
typedef struct {
  esp_operand operand[3];  // y, dy, dx
  esp_i32 outer, size, inner, logarithm;
} esp_softmax_backward_row;

// loss[n] = −Σ_c t[n, c]·log softmax(logits)[n, c], t = (1 − s)·onehot + s / classes, s = scalar[0].
typedef struct {
  esp_operand operand[3];  // logits [N, classes], labels (int32), loss [N]
  float scalar[1];
  esp_i32 samples, classes;
} esp_cross_entropy_row;
// dlogits[n, c] = (softmax − t)·dloss[n].
typedef struct {
  esp_operand operand[4];  // logits, labels, dloss [N], dlogits
  float scalar[1];
  esp_i32 samples, classes;
} esp_cross_entropy_backward_row;

// ---- products ----

// y[b] = op(a[b])·op(b[b]): m x k times k x n, row-major with leading dimensions; op transposes when asked.
typedef struct {
  esp_operand operand[3];  // a, b, y
  esp_i32 batch, m, n, k, lda, ldb, ldy, transpose_a, transpose_b;
  esp_i32 batch_a, batch_b, batch_y;  // elements between matrices; 0 repeats one
} esp_matmul_row;

// Convolution geometry: x [n, h, w, c], y [n, oh, ow, k], w [r, s, c / groups, k]; the three directions share the row
// type. Forward: x, w, y. Backward to the input: dy, w, dx. Backward to the weight: x, dy, dw, workspace, where the
// workspace holds min(n, ESP_WEIGHT_GROUPS) partial gradients (float), one a group of consecutive images, added in order.
#define ESP_WEIGHT_GROUPS 8
typedef struct {
  esp_operand operand[3];
  esp_i32 n, h, w, c, k, r, s, oh, ow;
  esp_i32 stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
} esp_conv2d_row;
typedef struct {
  esp_operand operand[4];
  esp_i32 n, h, w, c, k, r, s, oh, ow;
  esp_i32 stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
} esp_conv2d_weight_row;

// ---- pooling ----

// Maximum: x, y, index (byte: row·s + column of the first maximum in row-major order of the window; at most 255 taps).
// Backward: dy, index, dx. Padding never wins. NaN wins.
typedef struct {
  esp_operand operand[3];
  esp_i32 n, h, w, c, r, s, oh, ow, stride_h, stride_w, pad_h, pad_w;
} esp_max_pool2d_row;
// Average: x, y. Backward: dy, dx.
typedef struct {
  esp_operand operand[2];
  esp_i32 n, h, w, c, r, s, oh, ow, stride_h, stride_w, pad_h, pad_w, count_include_pad;
} esp_avg_pool2d_row;

// ---- batch norm, over [images, pixels of an image, channels] ----

// Biased moments per channel. One mean and sum of squared deviations an image, merged in order, in double.
typedef struct {
  esp_operand operand[4];  // x, mean [C], variance [C], workspace (double: 2 · images · channels)
  esp_i32 images, pixels, channels;
} esp_channel_moments_row;
// y = (x − mean)·rsqrt(variance + ε)·γ + β, ε = scalar[0]; γ and β may be absent.
typedef struct {
  esp_operand operand[6];  // x, mean, variance, γ, β, y
  float scalar[1];
  esp_i32 images, pixels, channels;
} esp_normalize_row;
// sums[0, c] = Σ dy, sums[1, c] = Σ dy·x̂, with x̂ = (x − mean)·rsqrt(variance + ε); one partial an image, in order.
typedef struct {
  esp_operand operand[6];  // x, dy, mean, variance, sums [2, C], workspace (double: 2 · images · channels)
  float scalar[1];
  esp_i32 images, pixels, channels;
} esp_batch_norm_sums_row;
// dx = γ·rsqrt(variance + ε)·(dy − sums[0] / m − x̂·sums[1] / m), m = images · pixels; γ may be absent.
typedef struct {
  esp_operand operand[7];  // x, dy, mean, variance, γ, sums, dx
  float scalar[1];
  esp_i32 images, pixels, channels;
} esp_batch_norm_backward_row;
// running ← (1 − μ)·running + μ·batch for mean and variance; the variance is first multiplied by scalar[1]
// (m / (m − 1)); μ = scalar[0], times the channel's share where shares are given. Nothing where the flag is not 0.
typedef struct {
  esp_operand operand[6];  // running mean, running variance, mean, variance, flag [1], shares (absent: all 1)
  float scalar[2];
  esp_i32 channels;
} esp_running_update_row;

// ---- random numbers: Philox 4x32-10, counter (element / 4, 0, draw, step), key (seed low, seed high) ----

enum esp_random_kind { ESP_UNIFORM /* [0, 1) */, ESP_NORMAL, ESP_GUMBEL, ESP_KEEP /* 0, or 1/(1 − p) with probability 1 − p */ };
// scalar: bits of seed low, seed high, step, draw; then p.
typedef struct {
  esp_operand operand[1];  // y, dense
  float scalar[5];
  esp_i32 kind, count;
} esp_random_row;

// ---- tables ----

// y[m, :] = table[index[m], :], and its transpose dtable[v, :] = Σ_{m: index[m] = v} dy[m, :], in the order of m.
typedef struct {
  esp_operand operand[3];  // table [rows, width], index (int32) [count], y [count, width]
  esp_i32 rows, width, count;
} esp_gather_row;
typedef struct {
  esp_operand operand[3];  // dy, index, dtable
  esp_i32 rows, width, count;
} esp_gather_backward_row;
typedef struct {
  esp_operand operand[2];  // index (int32) [count], y [count, classes]
  esp_i32 count, classes;
} esp_one_hot_row;

// ---- optimizers: a row is a piece of a parameter; only parameters that have a gradient are rows ----

#define ESP_UPDATE_PIECE 16384  // elements of a row at most: cut by shape alone, so that sums are the same everywhere

// partial[row] = Σ g² in double: 16 sums of every 16th element, added in order.
typedef struct {
  esp_operand operand[2];  // g, partials (double, one a row: offset = the row's number)
  esp_i32 count;
} esp_squared_norm_row;
// One row: norm = √Σ partials, added in order; scale[0] = min(1, maximum / (norm + 1e-6)), or 1 when scalar[0] (maximum)
// is 0; scale[1] = norm; the flag becomes 1, and stays so, when the norm is not finite; scale[2] = the flag.
typedef struct {
  esp_operand operand[3];  // partials (double), scale (float [3]), flag (float)
  float scalar[1];
  esp_i32 count;
} esp_clip_scale_row;

// Every update multiplies the gradient by scale[0] and writes nothing when scale[2] is not 0, else it adds 1 to its
// parameter's count of steps (int32), which the row of the parameter's first piece has. As in PyTorch.
// SGD: g += decay·w; m = first ? g : momentum·m + (1 − dampening)·g; g = nesterov ? g + momentum·m : m; w −= rate·g.
typedef struct {
  esp_operand operand[5];  // scale, steps, w, g, m (absent: no momentum)
  float scalar[4];         // rate, momentum, dampening, decay
  esp_i32 count, nesterov, first;
} esp_sgd_row;
// Adam / AdamW. scalar: rate, β1, β2, ε, decay, 1 − β1^t, √(1 − β2^t), 1 − β1, 1 − β2 (1 − 0.999 in float is off by 5e-5).
typedef struct {
  esp_operand operand[6];  // scale, steps, w, g, m, v
  float scalar[9];
  esp_i32 count, decoupled;
} esp_adam_row;
// RMSProp: v = α·v + (1 − α)·g²; a = centered mean m; buffer b. scalar: rate, α, ε, decay, momentum, 1 − α.
typedef struct {
  esp_operand operand[7];  // scale, steps, w, g, v, m (absent: not centered), b (absent: no momentum)
  float scalar[6];
  esp_i32 count;
} esp_rmsprop_row;

// ---- relu, depthwise and pointwise convolution in one, with the batch norms around them ----

// y = pointwise(depthwise(relu(x̂))) and the moments of y; one image at a time, what lies between in thread scratch.
// x̂ = x, or (x − mean)·rsqrt(variance + scalar[0]) where input moments are given. Depthwise weight absent: t = relu(x̂)
// (then stride 1, r = s = 1, no padding). Absent mean of y: its moments are not computed.
typedef struct {
  esp_operand operand[9];  // x [n,h,w,c], input mean [c], input variance [c], wd [r,s,c], wp [c,k], y [n,oh,ow,k],
                           // mean [k], variance [k], workspace (double: 2·n·k)
  float scalar[1];         // ε of the input's batch norm
  esp_i32 n, h, w, c, k, r, s, oh, ow, stride, pad, dilation;
} esp_relu_depthwise_pointwise_row;
// Its backward through the batch norm of y. dy = γ·rsqrt(variance + ε)·(dz − sums[0]/m − ŷ·sums[1]/m), m = n·oh·ow,
// ŷ = (y − mean)·rsqrt(variance + ε); dwp = tᵀ·dy, dt = dy·wpᵀ, dwd from relu(x̂) and dt, dx = depthwiseᵀ(dt) where
// x̂ > 0, else 0 (dx is the gradient of x̂). t is computed again. Absent dx, dwd, dwp are not computed. Absent y: there is
// no batch norm, dy = dz. Rows that follow one another with ESP_ACCUMULATE on dx are terms of one sum.
// Input sums, where they are not absent: Σ dx and Σ dx·x̂ of dx as this row leaves it, what the backward of the input's
// batch norm needs; one partial an image, in order.
typedef struct {
  esp_operand operand[17];  // x, input mean, input variance, wd, wp, y, mean, variance, γ [k] (absent: 1),
                            // sums [2,k], dz [n,oh,ow,k], dx, dwd, dwp, workspace (float: min(n, ESP_WEIGHT_GROUPS)
                            // partials of dwd and dwp, r·s·c + c·k each, if one of them is there; on OpenCL then
                            // [oh·ow, 16] for each of these groups and 16 channels of x), input sums [2,c], workspace
                            // of those (double: 2·n·c)
  float scalar[2];          // ε of the input's batch norm, ε of y's
  esp_i32 n, h, w, c, k, r, s, oh, ow, stride, pad, dilation;
} esp_relu_depthwise_pointwise_backward_row;

#endif
