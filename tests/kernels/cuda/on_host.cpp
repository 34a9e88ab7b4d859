// The CUDA kernels as ordinary functions: the words that only CUDA knows are defined here, and a launch is a loop over
// the threads of the grid, one after the other.
struct Position {
    unsigned int x, y;
};
static Position blockIdx, blockDim, gridDim, threadIdx;
#define __global__
#include "genotype_decode.cu"

template <typename Kernel>
static void launch(unsigned int grid_x, unsigned int grid_y, unsigned int threads, Kernel kernel) {
    gridDim = {grid_x, grid_y};
    blockDim = {threads, 1};
    for (blockIdx.y = 0; blockIdx.y < grid_y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < grid_x; ++blockIdx.x)
            for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) kernel();
}

extern "C" void launch_decode_packed(
    unsigned int grid_x, unsigned int grid_y, unsigned int threads, const unsigned char* packed, long long width,
    const float* table, const long long* rows, long long n_rows, long long first, long long n_bytes, float* decoded) {
    launch(grid_x, grid_y, threads, [=] { decode_packed(packed, width, table, rows, n_rows, first, n_bytes, decoded); });
}

extern "C" void launch_decode_dosage(
    unsigned int grid_x, unsigned int grid_y, unsigned int threads, const unsigned short* dosage, long long n_samples,
    const float* table, const long long* rows, long long n_rows, long long first, long long n_bytes, float* decoded) {
    launch(
        grid_x, grid_y, threads, [=] { decode_dosage(dosage, n_samples, table, rows, n_rows, first, n_bytes, decoded); });
}
