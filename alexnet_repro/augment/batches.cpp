// §4.1 A batch of crops, mirrored, centred and lit, in one pass over memory: for every pixel
// (image - mean + shift) / divisor / ..., in float32 and in this order. on_cpu.py calls this and has
// it in numpy.
#include <cstdint>

namespace {

template <bool mirrored>
void row(const uint8_t* from, const float* mean, const float* shift, const float* divisors,
         int64_t count, int64_t n, float* __restrict to) {
    for (int64_t x = 0; x < n; x++) to[x] = from[mirrored ? n - 1 - x : x] - mean[x];
    if (shift)
        for (int64_t x = 0; x < n; x++) to[x] += *shift;
    for (int64_t i = 0; i < count; i++)
        for (int64_t x = 0; x < n; x++) to[x] /= divisors[i];
}

}  // namespace

// images: n x c x h x w. mean: c x crop x crop, or one for each image. shift: n x c, or null.
// divisors: count of them. out: n x c x crop x crop.
extern "C" void batch(const uint8_t* images, const float* mean, const float* shift,
                      const float* divisors, const int64_t* top, const int64_t* left,
                      const bool* mirrored, float* out, int64_t n, int64_t c, int64_t h, int64_t w,
                      int64_t crop, int64_t count, bool mean_each, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t map = 0; map < n * c; map++) {
        const int64_t i = map / c;
        const float* light = shift ? shift + map : nullptr;
        const float* centre = mean + (mean_each ? map : map % c) * crop * crop;
        for (int64_t y = 0; y < crop; y++) {
            const uint8_t* from = images + (map * h + top[i] + y) * w + left[i];
            auto* line = mirrored[i] ? row<true> : row<false>;
            line(from, centre + y * crop, light, divisors, count, crop,
                 out + (map * crop + y) * crop);
        }
    }
}
