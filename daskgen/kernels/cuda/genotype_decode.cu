// Decodes a piece of a chunk, `n_rows` variants x the samples of `n_bytes` packed bytes from byte `first` on, into
// standardised float32 (n_rows, 4 * n_bytes), plane by plane: the layout of daskgen.kernels.genotype_products.
//
// One thread takes one byte, so that neighbouring threads read neighbouring bytes and write neighbouring floats in each
// of the four planes. x runs over bytes, y over variants; both in strides of the grid, which may be smaller.
#include "genotype_codes.cuh"

extern "C" __global__ void decode_packed(
    const unsigned char* __restrict__ packed,  // (variants, width)
    long long width,
    const float* __restrict__ table,  // (variants, 4)
    const long long* __restrict__ rows, long long n_rows, long long first, long long n_bytes,
    float* __restrict__ decoded) {
    for (long long row = blockIdx.y; row < n_rows; row += gridDim.y) {
        const unsigned char* source = packed + rows[row] * width + first;
        const float* values = table + rows[row] * 4;
        float* target = decoded + row * 4 * n_bytes;
        for (long long b = blockIdx.x * (long long)blockDim.x + threadIdx.x; b < n_bytes;
             b += gridDim.x * (long long)blockDim.x) {
            daskgen::decode_packed_byte(source[b], values, n_bytes, target + b);
        }
    }
}

extern "C" __global__ void decode_dosage(
    const unsigned short* __restrict__ dosage,  // (variants, n_samples)
    long long n_samples,
    const float* __restrict__ table,  // (variants, 2): mean, scale
    const long long* __restrict__ rows, long long n_rows, long long first, long long n_bytes,
    float* __restrict__ decoded) {
    for (long long row = blockIdx.y; row < n_rows; row += gridDim.y) {
        const unsigned short* source = dosage + rows[row] * n_samples;
        const float mean = table[rows[row] * 2];
        const float scale = table[rows[row] * 2 + 1];
        float* target = decoded + row * 4 * n_bytes;
        for (long long b = blockIdx.x * (long long)blockDim.x + threadIdx.x; b < n_bytes;
             b += gridDim.x * (long long)blockDim.x) {
            daskgen::decode_four_dosages(source, n_samples, 4 * (first + b), mean, scale, n_bytes, target + b);
        }
    }
}
