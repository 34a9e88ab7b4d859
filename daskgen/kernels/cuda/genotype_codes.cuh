// What the codes of genotypes mean, for the device and for the host: the tests build these functions with an ordinary
// C++ compiler and compare them with the CPU kernels, so nothing in here is particular to CUDA.
#pragma once

#ifdef __CUDACC__
#define DASKGEN_HOST_DEVICE __host__ __device__
#else
#define DASKGEN_HOST_DEVICE
#endif

namespace daskgen {

const unsigned short dosage_missing = 65535;
const float alleles_per_step = 1.0f / 16384.0f;

// The code, 0 to 3, of one of the four samples of a packed byte; sample 0 has the lowest two bits.
DASKGEN_HOST_DEVICE inline unsigned int code_of_sample(unsigned char packed, int sample) {
    return (packed >> (2 * sample)) & 3u;
}

// A standardised dosage; a missing one is at the mean.
DASKGEN_HOST_DEVICE inline float dosage_value(unsigned short steps, float mean, float scale) {
    return steps == dosage_missing ? 0.0f : (steps * alleles_per_step - mean) * scale;
}

// The values of the four samples of a packed byte. Those of one plane lie n_bytes from those of the next; `values` are
// the values of codes 0 to 3.
DASKGEN_HOST_DEVICE inline void decode_packed_byte(
    unsigned char packed, const float* values, long long n_bytes, float* decoded) {
    for (int plane = 0; plane < 4; ++plane) {
        decoded[plane * n_bytes] = values[code_of_sample(packed, plane)];
    }
}

// The values of the four samples from `first_sample` on of a row of dosages, in the same places; 0 beyond the last one.
DASKGEN_HOST_DEVICE inline void decode_four_dosages(
    const unsigned short* row, long long n_samples, long long first_sample, float mean, float scale, long long n_bytes,
    float* decoded) {
    for (int plane = 0; plane < 4; ++plane) {
        const long long sample = first_sample + plane;
        decoded[plane * n_bytes] = sample < n_samples ? dosage_value(row[sample], mean, scale) : 0.0f;
    }
}

}  // namespace daskgen
