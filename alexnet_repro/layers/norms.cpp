// §3.3 out = a * scale^-3/4, scale = k + alpha * (sum of a^2 over a window), and its gradient, each
// in one pass over memory. norm_native.py compiles and calls this; norm_eager.py has it in torch.
//
// A tensor is maps x h x w x u values that lie in memory in this order; a window runs over rows
// i - up .. i + down and columns j - left .. j + right of a map, ends clipped.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct Shape {
    int64_t maps, h, w, u, up, down, left, right;
};

// x^-1/2 without the processor's square root, which is slow: three of Newton's steps from a guess
// at the exponent leave an error of a unit or two in the last place.
inline float rsqrt(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, 4);
    bits = 0x5f3759df - (bits >> 1);
    float y;
    std::memcpy(&y, &bits, 4);
    const float half = 0.5f * x;
    y *= 1.5f - half * y * y;
    y *= 1.5f - half * y * y;
    y *= 1.5f - half * y * y;
    return y;
}

inline float power(float scale) {  // scale^-3/4
    const float root = rsqrt(scale);
    return root * root * rsqrt(root);
}

// to[i] = from[i] + from[i + u] + ..., N terms, or `terms` where N is 0
template <int N>
void add(const float* __restrict from, float* __restrict to, int64_t n, int64_t u, int64_t terms) {
    for (int64_t i = 0; i < n; i++) {
        float sum = from[i];
        for (int64_t j = 1; j < (N ? N : terms); j++) sum += from[i + j * u];
        to[i] = sum;
    }
}

// One thread's memory for a few maps at a time, little enough for the processor's nearest cache.
class Block {
    const Shape& s;
    int64_t row, wide, rows;  // values of a row, and with the zeros left and right of it
    std::vector<float> products, above, total;

public:
    int64_t maps;

    explicit Block(const Shape& shape)
        : s(shape), row(s.w * s.u), wide(row + (s.left + s.right) * s.u),
          maps(std::max<int64_t>(1, 512 / (s.h * wide))) {
        products.assign((maps * s.h + 1) * wide, 0.0f);
        if (s.h > 1) above = products;
        total.assign(maps * s.h * wide, 0.0f);
    }

    // For each row, of n values from `at` on in the tensor: fill(at, products, n), and when all are
    // there use(at, sums, n).
    template <typename Fill, typename Use>
    void run(int64_t first, Fill fill, Use use) {
        rows = std::min(maps, s.maps - first) * s.h;
        const int64_t at = first * s.h * row;
        for (int64_t i = 0; i < rows; i++)
            fill(at + i * row, products.data() + i * wide + s.left * s.u, row);
        add_up();
        for (int64_t i = 0; i < rows; i++) use(at + i * row, total.data() + i * wide, row);
    }

private:
    void add_up() {
        const float* from = products.data();
        if (s.h > 1) {
            for (int64_t i = 0; i < rows; i++) {
                const int64_t map = i - i % s.h;
                const int64_t top = std::max(map, i - s.up);
                const int64_t bottom = std::min(map + s.h - 1, i + s.down);
                float* __restrict to = above.data() + i * wide;
                std::copy_n(from + top * wide, wide, to);
                for (int64_t r = top + 1; r <= bottom; r++) {
                    const float* __restrict next = from + r * wide;
                    for (int64_t j = 0; j < wide; j++) to[j] += next[j];
                }
            }
            from = above.data();
        }
        const int64_t terms = s.left + s.right + 1;
        auto* sum = terms == 3 ? add<3> : terms == 5 ? add<5> : add<0>;
        sum(from, total.data(), rows * wide, s.u, terms);
    }
};

}  // namespace

extern "C" void norm_forward(const float* a, float* out, float* scale, const int64_t* shape,
                             float alpha, float k, int threads) {
    Shape s;
    std::memcpy(&s, shape, sizeof s);
    const auto square = [=](int64_t at, float* __restrict square, int64_t n) {
        const float* __restrict x = a + at;
        for (int64_t i = 0; i < n; i++) square[i] = x[i] * x[i];
    };
    const auto divide = [=](int64_t at, const float* __restrict sums, int64_t n) {
        const float* __restrict x = a + at;
        float *__restrict y = out + at, *__restrict z = scale + at;
        for (int64_t i = 0; i < n; i++) {
            z[i] = k + alpha * sums[i];
            y[i] = x[i] * power(k + alpha * sums[i]);
        }
    };
#pragma omp parallel num_threads(threads)
    {
        Block block(s);
#pragma omp for
        for (int64_t map = 0; map < s.maps; map += block.maps) block.run(map, square, divide);
    }
}

// shape: of the windows that the gradient sums over, those that hold a place; up and down, left and
// right are exchanged.
extern "C" void norm_backward(const float* a, const float* grad, const float* scale, float* out,
                              const int64_t* shape, float alpha, int threads) {
    Shape s;
    std::memcpy(&s, shape, sizeof s);
    const auto spread = [=](int64_t at, float* __restrict spread, int64_t n) {
        const float *__restrict x = a + at, *__restrict g = grad + at, *__restrict z = scale + at;
        float* __restrict y = out + at;
        for (int64_t i = 0; i < n; i++) {
            const float root = rsqrt(z[i]);
            y[i] = g[i] * (root * root * rsqrt(root));
            spread[i] = y[i] * (root * root) * x[i];
        }
    };
    const auto subtract = [=](int64_t at, const float* __restrict sums, int64_t n) {
        const float* __restrict x = a + at;
        float* __restrict y = out + at;
        for (int64_t i = 0; i < n; i++) y[i] -= 1.5f * alpha * x[i] * sums[i];
    };
#pragma omp parallel num_threads(threads)
    {
        Block block(s);
#pragma omp for
        for (int64_t map = 0; map < s.maps; map += block.maps) block.run(map, spread, subtract);
    }
}
