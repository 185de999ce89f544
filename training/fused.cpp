// Group normalisation, scale and shift, and SiLU in one pass, forwards and backwards, for bfloat16.
//
// Pictures are `(batch, points, channels)`, channels innermost; a and c are `(batch, channels)` in
// float32. One thread. Why one scales each channel by a and c is told in fused.py.

#include <torch/extension.h>

#include <cmath>
#include <cstring>
#include <vector>

using at::Tensor;

namespace {

struct Size {
  explicit Size(const Tensor& x) : batch(x.size(0)), points(x.size(1)), channels(x.size(2)) {}
  const int64_t batch, points, channels;
};

inline float widen(uint16_t bits) {
  const uint32_t wide = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

inline uint16_t narrow(float value) {  // Rounds to nearest, ties to even.
  uint32_t wide;
  std::memcpy(&wide, &value, 4);
  return uint16_t((wide + 0x7fff + ((wide >> 16) & 1)) >> 16);
}

// Below -88, exp(-z) is infinite, and with fast mathematics its inverse is no number. SiLU is 0 there.
inline float bounded(float z) { return z < -80.f ? -80.f : z; }

inline float sigmoid(float z) { return 1.f / (1.f + expf(-z)); }

inline float through_silu(float unbounded, float gradient) {
  const float z = bounded(unbounded), s = sigmoid(z);
  return gradient * s * (1.f + z * (1.f - s));
}

const uint16_t* bits(const Tensor& x) { return static_cast<const uint16_t*>(x.data_ptr()); }
uint16_t* bits(Tensor& x) { return static_cast<uint16_t*>(x.data_ptr()); }
const float* row(const Tensor& x, int64_t b) { return x.data_ptr<float>() + b * x.size(1); }
float* row(Tensor& x, int64_t b) { return x.data_ptr<float>() + b * x.size(1); }
Tensor zeros(const Size& size) { return torch::zeros({size.batch, size.channels}, torch::kFloat); }

}  // namespace

// The sum of each channel's values and of their squares.
std::vector<Tensor> moments(const Tensor& x) {
  const Size size(x);
  Tensor sums = zeros(size), squares = zeros(size);
  for (int64_t b = 0; b < size.batch; ++b) {
    float* __restrict sum = row(sums, b);
    float* __restrict square = row(squares, b);
    for (int64_t p = 0; p < size.points; ++p) {
      const uint16_t* __restrict in = bits(x) + (b * size.points + p) * size.channels;
      for (int64_t k = 0; k < size.channels; ++k) {
        const float value = widen(in[k]);
        sum[k] += value;
        square[k] += value * value;
      }
    }
  }
  return {sums, squares};
}

// silu(a x + c).
Tensor activated(const Tensor& x, const Tensor& a, const Tensor& c) {
  const Size size(x);
  Tensor out = torch::empty_like(x);
  for (int64_t b = 0; b < size.batch; ++b) {
    const float* __restrict scale = row(a, b);
    const float* __restrict shift = row(c, b);
    for (int64_t p = 0; p < size.points; ++p) {
      const int64_t at = (b * size.points + p) * size.channels;
      const uint16_t* __restrict in = bits(x) + at;
      uint16_t* __restrict to = bits(out) + at;
      for (int64_t k = 0; k < size.channels; ++k) {
        const float z = bounded(scale[k] * widen(in[k]) + shift[k]);
        to[k] = narrow(z * sigmoid(z));
      }
    }
  }
  return out;
}

// The gradients of a and of c.
std::vector<Tensor> gradient_sums(const Tensor& x, const Tensor& g, const Tensor& a, const Tensor& c) {
  const Size size(x);
  Tensor of_a = zeros(size), of_c = zeros(size);
  for (int64_t b = 0; b < size.batch; ++b) {
    const float* __restrict scale = row(a, b);
    const float* __restrict shift = row(c, b);
    float* __restrict to_a = row(of_a, b);
    float* __restrict to_c = row(of_c, b);
    for (int64_t p = 0; p < size.points; ++p) {
      const int64_t at = (b * size.points + p) * size.channels;
      const uint16_t* __restrict in = bits(x) + at;
      const uint16_t* __restrict gradient = bits(g) + at;
      for (int64_t k = 0; k < size.channels; ++k) {
        const float value = widen(in[k]);
        const float d = through_silu(scale[k] * value + shift[k], widen(gradient[k]));
        to_a[k] += d * value;
        to_c[k] += d;
      }
    }
  }
  return {of_a, of_c};
}

// The gradient of x: a d + e + f x, where d is the gradient before SiLU.
Tensor input_gradient(const Tensor& x, const Tensor& g, const Tensor& a, const Tensor& c,
                      const Tensor& e, const Tensor& f) {
  const Size size(x);
  Tensor out = torch::empty_like(x);
  for (int64_t b = 0; b < size.batch; ++b) {
    const float* __restrict scale = row(a, b);
    const float* __restrict shift = row(c, b);
    const float* __restrict even = row(e, b);
    const float* __restrict slope = row(f, b);
    for (int64_t p = 0; p < size.points; ++p) {
      const int64_t at = (b * size.points + p) * size.channels;
      const uint16_t* __restrict in = bits(x) + at;
      const uint16_t* __restrict gradient = bits(g) + at;
      uint16_t* __restrict to = bits(out) + at;
      for (int64_t k = 0; k < size.channels; ++k) {
        const float value = widen(in[k]);
        const float d = through_silu(scale[k] * value + shift[k], widen(gradient[k]));
        to[k] = narrow(scale[k] * d + even[k] + slope[k] * value);
      }
    }
  }
  return out;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("moments", &moments);
  module.def("activated", &activated);
  module.def("gradient_sums", &gradient_sums);
  module.def("input_gradient", &input_gradient);
}
