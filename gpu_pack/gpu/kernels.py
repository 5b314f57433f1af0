"""CUDA C++ of the JPEG encoder: a batch of RGB pictures of one size to baseline 4:2:0 scans.

Every kernel is one-dimensional. Its threads are independent (no shared memory, one ``atomicOr``), except in two kernels
that take a warp per image, whose lanes exchange sums by ``__shfl_up_sync``; so a block must be whole warps. It costs
some speed, and lets a C++ compiler build the same source for tests on the host.

The arithmetic is libjpeg's, so that the files are libjpeg's (and OpenCV's) bit for bit: colour conversion and ``h2v2``
downsampling of ITU-R BT.601 and JFIF 1.02 in 16-bit fixed point; the DCT of Loeffler, Ligtenberg and Moschytz (1989) in
13-bit fixed point ("slow integer"); rounding half away from zero; the Huffman tables of ITU-T T.81 annex K.3; blocks
beyond the picture's last one have no AC and their neighbour's DC.

Layouts (``blocks`` is 6 per MCU: four of Y, then Cb, then Cr):
    pixels   uint8 [images][height][width][3], RGB
    levels   int16 [images][blocks][64], quantised, in zigzag order
    bits     uint32 [images][blocks], each block's number of bits; after `bit_offsets` its first bit's position
    words    uint32 [images][stride], the scan's bits, most significant first
    stuffing uint32 [images][chunks], 0xFF bytes in each chunk of CHUNK bytes; after `byte_offsets` those before it
"""

from __future__ import annotations

CHUNK = 128
WARP = 32  # threads that exchange values: `bit_offsets` and `byte_offsets` need so many for each image
#: The longest block has 63 AC codes of 16 + 10 bits and a DC code of 11 + 11 bits.
MAX_BLOCK_BITS = 63 * 26 + 22

SOURCE = r"""
#define CHUNK 128
#define WARP 32

struct Shape { int width, height, across, down, blocks; };  // across, down: MCUs

__device__ static Shape shape_of(int width, int height) {
    int across = (width + 15) / 16, down = (height + 15) / 16;
    return {width, height, across, down, across * down * 6};
}

__device__ static int smaller(int a, int b) { return a < b ? a : b; }

__device__ static long long thread_number() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }

// A warp replaces each value by the sum of those before it: each lane in its share of them, a run of neighbours, once
// the lanes have exchanged their shares' sums. Gives the sum up to the share's end: for the last lane, that of all.
__device__ static unsigned int scan(unsigned int* values, int count) {
    int lane = (int)(thread_number() % WARP), share = (count + WARP - 1) / WARP;
    int start = smaller(lane * share, count), end = smaller(start + share, count);
    unsigned int own = 0;
    for (int at = start; at < end; at++) own += values[at];
    unsigned int sum = own;
    for (int step = 1; step < WARP; step *= 2) {  // sum is that of `step` lanes
        unsigned int below = __shfl_up_sync(0xFFFFFFFF, sum, step);
        if (lane >= step) sum += below;
    }
    unsigned int before = sum - own;
    for (int at = start; at < end; at++) {
        unsigned int value = values[at];
        values[at] = before;
        before += value;
    }
    return sum;
}

// ---- pixels to levels

__device__ static int luma(const unsigned char* p) {
    return (19595 * p[0] + 38470 * p[1] + 7471 * p[2] + 32768) >> 16;
}

__device__ static int chroma(const unsigned char* p, int red) {
    const int half = (128 << 16) + 32767;
    return red ? (32768 * p[0] - 27439 * p[1] - 5329 * p[2] + half) >> 16
               : (-11058 * p[0] - 21710 * p[1] + 32768 * p[2] + half) >> 16;
}

__device__ static void load_luma(const unsigned char* pixels, Shape s, int left, int top, int* block) {
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            int row = smaller(top + y, s.height - 1), column = smaller(left + x, s.width - 1);
            block[y * 8 + x] = luma(pixels + 3 * ((long long)row * s.width + column)) - 128;
        }
}

__device__ static void load_chroma(const unsigned char* pixels, Shape s, int left, int top, int red, int* block) {
    for (int y = 0; y < 8; y++) {
        // Rows below the picture repeat its last row after averaging; columns beyond it repeat the last before.
        int row = 2 * smaller(top + y, (s.height + 1) / 2 - 1), next = smaller(row + 1, s.height - 1);
        for (int x = 0; x < 8; x++) {
            int a = smaller(2 * (left + x), s.width - 1), b = smaller(2 * (left + x) + 1, s.width - 1);
            const unsigned char* upper = pixels + 3 * (long long)row * s.width;
            const unsigned char* lower = pixels + 3 * (long long)next * s.width;
            int sum = chroma(upper + 3 * a, red) + chroma(upper + 3 * b, red)
                    + chroma(lower + 3 * a, red) + chroma(lower + 3 * b, red);
            block[y * 8 + x] = ((sum + 1 + (x & 1)) >> 2) - 128;
        }
    }
}

// One dimension of the DCT in place, eight values with stride `step`; even results are shifted right by `even` bits
// (left if negative), odd ones by `odd`, rounded.
__device__ static void dct8(int* d, int step, int even, int odd) {
    int s07 = d[0] + d[7 * step], d07 = d[0] - d[7 * step], s16 = d[step] + d[6 * step], d16 = d[step] - d[6 * step];
    int s25 = d[2 * step] + d[5 * step], d25 = d[2 * step] - d[5 * step];
    int s34 = d[3 * step] + d[4 * step], d34 = d[3 * step] - d[4 * step];
    int a = s07 + s34, b = s16 + s25, c = s16 - s25, e = s07 - s34, half = 1 << (odd - 1);
    d[0] = even < 0 ? (a + b) * (1 << -even) : (a + b + (1 << (even - 1))) >> even;
    d[4 * step] = even < 0 ? (a - b) * (1 << -even) : (a - b + (1 << (even - 1))) >> even;
    int z = (c + e) * 4433;
    d[2 * step] = (z + e * 6270 + half) >> odd;
    d[6 * step] = (z - c * 15137 + half) >> odd;
    int z1 = (d34 + d07) * -7373, z2 = (d25 + d16) * -20995, z3 = (d34 + d16) * -16069, z4 = (d25 + d07) * -3196;
    int z5 = (d34 + d16 + d25 + d07) * 9633;
    z3 += z5;
    z4 += z5;
    d[7 * step] = (d34 * 2446 + z1 + z3 + half) >> odd;
    d[5 * step] = (d25 * 16819 + z2 + z4 + half) >> odd;
    d[3 * step] = (d16 * 25172 + z2 + z3 + half) >> odd;
    d[step] = (d07 * 12299 + z1 + z4 + half) >> odd;
}

// The luma block of the MCU that a block beyond the picture takes its DC from; a block inside takes its own.
__device__ static int dc_source(Shape s, int mcu, int n) {
    if (n > 3) return n;
    int wide = mcu % s.across * 16 + 8 < s.width, high = mcu / s.across * 16 + 8 < s.height;
    if (n > 1 && !high) return wide;
    return n & 1 && !wide ? n - 1 : n;
}

// `tables`: zigzag order [64], then divisors [2][64] for luma and chroma (eight times the quantisation) in natural
// order.
extern "C" __global__ void transform(
    const unsigned char* pixels, short* levels, const int* tables, int images, int width, int height)
{
    Shape s = shape_of(width, height);
    long long number = thread_number();
    if (number >= (long long)images * s.blocks) return;
    int mcu = (int)(number % s.blocks) / 6, n = (int)(number % 6), block[64];
    int left = mcu % s.across * 16, top = mcu / s.across * 16;
    const unsigned char* picture = pixels + number / s.blocks * width * height * 3;
    if (n < 4) load_luma(picture, s, left + (n & 1) * 8, top + (n >> 1) * 8, block);
    else load_chroma(picture, s, left / 2, top / 2, n == 5, block);
    for (int y = 0; y < 8; y++) dct8(block + y * 8, 1, -2, 11);
    for (int x = 0; x < 8; x++) dct8(block + x, 8, 2, 15);
    const int* divisors = tables + (n < 4 ? 64 : 128);
    short* target = levels + number * 64;
    int outside = dc_source(s, mcu, n) != n;
    for (int k = 0; k < 64; k++) {
        int at = tables[k], value = block[at], divisor = divisors[at], size = value < 0 ? -value : value;
        int level = (size + divisor / 2) / divisor;
        target[k] = outside ? 0 : (short)(value < 0 ? -level : level);
    }
}

// ---- levels to bits

__device__ static int dc_of(const short* levels, Shape s, int mcu, int n) {
    return levels[((long long)mcu * 6 + dc_source(s, mcu, n)) * 64];
}

// The DC's difference from the previous one of the same component.
__device__ static int dc_step(const short* levels, Shape s, int mcu, int n) {
    int own = dc_of(levels, s, mcu, n);
    if (n >= 1 && n <= 3) return own - dc_of(levels, s, mcu, n - 1);
    return mcu ? own - dc_of(levels, s, mcu - 1, n ? n : 3) : own;
}

struct Counter {
    unsigned int bits;
    __device__ void put(unsigned int, int length) { bits += length; }
};

struct Writer {
    unsigned int* words;
    unsigned int at;
    __device__ void put(unsigned int value, int length) {  // at most 27 bits
        if (!length) return;
        unsigned long long shifted = (unsigned long long)value << (64 - length - (at & 31));
        atomicOr(words + (at >> 5), (unsigned int)(shifted >> 32));
        if ((unsigned int)shifted) atomicOr(words + (at >> 5) + 1, (unsigned int)shifted);
        at += length;
    }
};

// `huffman`: code << 8 | length, [4][256]: DC of luma and chroma by size, then AC of both by run << 4 | size.
template <class Sink>
__device__ static void put_level(Sink& sink, const unsigned int* table, int run, int level) {
    int size = 0;
    for (int left = level < 0 ? -level : level; left; left >>= 1) size++;
    unsigned int code = table[run << 4 | size], extra = (level < 0 ? level - 1 : level) & ((1 << size) - 1);
    sink.put((code >> 8) << size | extra, (code & 255) + size);
}

template <class Sink>
__device__ static void put_block(Sink& sink, const unsigned int* huffman, const short* levels, int step, int luma) {
    const unsigned int *dc = huffman + (luma ? 0 : 256), *ac = huffman + (luma ? 512 : 768);
    put_level(sink, dc, 0, step);
    int run = 0;
    for (int k = 1; k < 64; k++) {
        if (!levels[k]) { run++; continue; }
        for (; run > 15; run -= 16) sink.put(ac[0xF0] >> 8, ac[0xF0] & 255);
        put_level(sink, ac, run, levels[k]);
        run = 0;
    }
    if (run) sink.put(ac[0] >> 8, ac[0] & 255);
}

extern "C" __global__ void measure(
    const short* levels, unsigned int* bits, const unsigned int* huffman, int images, int width, int height)
{
    Shape s = shape_of(width, height);
    long long number = thread_number();
    if (number >= (long long)images * s.blocks) return;
    int image = (int)(number / s.blocks), block = (int)(number % s.blocks), n = block % 6;
    const short* own = levels + (long long)image * s.blocks * 64;
    Counter counter = {0};
    put_block(counter, huffman, own + block * 64, dc_step(own, s, block / 6, n), n < 4);
    bits[number] = counter.bits;
}

// One warp per image: each block's first bit, and in `lengths` the scan's number of bits.
extern "C" __global__ void bit_offsets(unsigned int* bits, unsigned int* lengths, int images, int blocks) {
    long long image = thread_number() / WARP;
    if (image >= images) return;
    unsigned int sum = scan(bits + image * blocks, blocks);
    if (thread_number() % WARP == WARP - 1) lengths[image] = sum;
}

extern "C" __global__ void clear(unsigned int* words, const unsigned int* lengths, int images, int stride) {
    long long number = thread_number();
    if (number < (long long)images * stride && number % stride <= lengths[number / stride] / 32) words[number] = 0;
}

extern "C" __global__ void pack(
    const short* levels, const unsigned int* bits, unsigned int* words, const unsigned int* huffman, int images,
    int width, int height, int stride)
{
    Shape s = shape_of(width, height);
    long long number = thread_number();
    if (number >= (long long)images * s.blocks) return;
    int image = (int)(number / s.blocks), block = (int)(number % s.blocks), n = block % 6;
    const short* own = levels + (long long)image * s.blocks * 64;
    Writer writer = {words + (long long)image * stride, bits[number]};
    put_block(writer, huffman, own + block * 64, dc_step(own, s, block / 6, n), n < 4);
    int rest = -writer.at & 7;
    if (block == s.blocks - 1) writer.put((1 << rest) - 1, rest);  // ones fill the last byte
}

// ---- bits to bytes

__device__ static unsigned int byte_at(const unsigned int* words, unsigned int at) {
    return words[at >> 2] >> (24 - 8 * (at & 3)) & 255;
}

extern "C" __global__ void count_stuffing(
    const unsigned int* words, const unsigned int* lengths, unsigned int* stuffing, int images, int stride, int chunks)
{
    long long number = thread_number();
    if (number >= (long long)images * chunks) return;
    int image = (int)(number / chunks), chunk = (int)(number % chunks);
    unsigned int bytes = (lengths[image] + 7) / 8, end = (chunk + 1) * CHUNK, found = 0;
    for (unsigned int at = chunk * CHUNK; at < end && at < bytes; at++)
        found += byte_at(words + (long long)image * stride, at) == 255;
    stuffing[number] = found;
}

// One warp per image: the stuffed zeros before each chunk, and in `sizes` the scan's bytes including them.
extern "C" __global__ void byte_offsets(
    unsigned int* stuffing, const unsigned int* lengths, unsigned int* sizes, int images, int chunks)
{
    long long image = thread_number() / WARP;
    if (image >= images) return;
    unsigned int bytes = (lengths[image] + 7) / 8, sum = scan(stuffing + image * chunks, (bytes + CHUNK - 1) / CHUNK);
    if (thread_number() % WARP == WARP - 1) sizes[image] = bytes + sum;
}

// Header, scan and end-of-image marker of each image, from `starts` in `files`.
extern "C" __global__ void write_files(
    const unsigned int* words, const unsigned int* lengths, const unsigned int* stuffing, const unsigned int* sizes,
    const unsigned long long* starts, const unsigned char* header, unsigned char* files, int images, int stride,
    int chunks, int header_size)
{
    long long number = thread_number();
    if (number >= (long long)images * chunks) return;
    int image = (int)(number / chunks), chunk = (int)(number % chunks);
    unsigned char* file = files + starts[image];
    for (int at = chunk; at < header_size; at += chunks) file[at] = header[at];
    file += header_size;
    if (chunk == 0) {
        file[sizes[image]] = 0xFF;
        file[sizes[image] + 1] = 0xD9;
    }
    unsigned int bytes = (lengths[image] + 7) / 8, at = chunk * CHUNK, end = at + CHUNK;
    if (at >= bytes) return;
    file += at + stuffing[number];
    for (; at < end && at < bytes; at++) {
        unsigned int value = byte_at(words + (long long)image * stride, at);
        *file++ = (unsigned char)value;
        if (value == 255) *file++ = 0;
    }
}
"""
