/* What of decoding libjpeg-turbo could leave out, in processor microseconds a photograph: through its C interface, since
 * no Python package offers these calls.
 *
 *     cc -O2 bench/where/decode_limits.c -o decode_limits -lturbojpeg -ljpeg && ./decode_limits PHOTO...
 *
 * On Debian: apt-get install libturbojpeg0-dev libjpeg62-turbo-dev. Of seven rounds a photograph's least time counts.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h>
#include <turbojpeg.h>

enum { ROUNDS = 7, ROWS = 16, MARGIN = 16, LARGEST = 256 << 20 };

static struct jpeg_error_mgr errors;
static unsigned char *pixels, *cropped, *planes[3];
static tjhandle decoder;
static unsigned width, height;               /* of the picture that was decoded last */
static unsigned left, top, across;           /* of the crop: its place, and its width in pixels */

static void begin(struct jpeg_decompress_struct *jpeg, const unsigned char *data, size_t size)
{
    jpeg->err = jpeg_std_error(&errors);
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, data, size);
    jpeg_read_header(jpeg, TRUE);
}

static void end(struct jpeg_decompress_struct *jpeg)
{
    jpeg_finish_decompress(jpeg);
    jpeg_destroy_decompress(jpeg);
}

static void read_rows(struct jpeg_decompress_struct *jpeg, unsigned char *to, unsigned first, unsigned past, size_t row)
{
    JSAMPROW rows[ROWS];
    while (jpeg->output_scanline < past) {
        unsigned count = 0;
        for (; count < ROWS && jpeg->output_scanline + count < past; count++)
            rows[count] = to + (jpeg->output_scanline + count - first) * row;
        jpeg_read_scanlines(jpeg, rows, count);
    }
}

/* What gpu-pack does. */
static void whole(const unsigned char *data, size_t size)
{
    struct jpeg_decompress_struct jpeg;
    begin(&jpeg, data, size);
    jpeg.out_color_space = JCS_EXT_BGR;
    jpeg_start_decompress(&jpeg);
    width = jpeg.output_width;
    height = jpeg.output_height;
    read_rows(&jpeg, pixels, 0, height, 3 * (size_t)width);
    end(&jpeg);
}

/* The centre square alone, with a margin in which upsampling differs. All of the file is read, for its damage. */
static void square(const unsigned char *data, size_t size)
{
    struct jpeg_decompress_struct jpeg;
    begin(&jpeg, data, size);
    jpeg.out_color_space = JCS_EXT_BGR;
    jpeg_start_decompress(&jpeg);
    unsigned wide = jpeg.output_width, high = jpeg.output_height, side = wide < high ? wide : high;
    unsigned x = (wide - side) / 2, y = (high - side) / 2;
    JDIMENSION from = x > MARGIN ? x - MARGIN : 0;
    JDIMENSION count = (x + side + MARGIN < wide ? x + side + MARGIN : wide) - from;
    if (count < wide)
        jpeg_crop_scanline(&jpeg, &from, &count);
    left = from;
    across = jpeg.output_width;
    top = y > MARGIN ? (y - MARGIN) / MARGIN * MARGIN : 0;
    unsigned past = y + side + MARGIN < high ? y + side + MARGIN : high;
    if (top)
        jpeg_skip_scanlines(&jpeg, top);
    read_rows(&jpeg, cropped, top, past, 3 * (size_t)across);
    if (past < high)
        jpeg_skip_scanlines(&jpeg, high - past);
    end(&jpeg);
}

/* Brightness and colours as they are stored: neither upsampled nor converted. */
static void planar(const unsigned char *data, size_t size)
{
    tjDecompressToYUVPlanes(decoder, data, size, planes, 0, NULL, 0, TJFLAG_ACCURATEDCT);
}

/* Huffman decoding of everything, and next to nothing else. */
static void huffman(const unsigned char *data, size_t size)
{
    struct jpeg_decompress_struct jpeg;
    begin(&jpeg, data, size);
    jpeg.out_color_space = JCS_GRAYSCALE;
    jpeg.scale_num = 1;
    jpeg.scale_denom = 8;
    jpeg_start_decompress(&jpeg);
    read_rows(&jpeg, cropped, 0, jpeg.output_height, jpeg.output_width);
    end(&jpeg);
}

static int squares_differ(void)
{
    unsigned side = width < height ? width : height, x = (width - side) / 2, y = (height - side) / 2;
    for (unsigned row = 0; row < side; row++)
        if (memcmp(pixels + ((size_t)(y + row) * width + x) * 3,
                   cropped + ((size_t)(y - top + row) * across + x - left) * 3, 3 * (size_t)side))
            return 1;
    return 0;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

int main(int count, char **names)
{
    static void (*const WAYS[])(const unsigned char *, size_t) = {whole, square, planar, huffman};
    static const char *const WORDS[] = {"all pixels", "the centre square", "planes", "Huffman decoding"};
    double sum[4] = {0};
    int differ = 0;
    pixels = malloc(LARGEST);
    cropped = malloc(LARGEST);
    for (int plane = 0; plane < 3; plane++)
        planes[plane] = malloc(LARGEST / 3);
    decoder = tjInitDecompress();
    for (int photo = 1; photo < count; photo++) {
        FILE *file = fopen(names[photo], "rb");
        if (!file)
            return perror(names[photo]), 1;
        fseek(file, 0, SEEK_END);
        size_t size = ftell(file);
        rewind(file);
        unsigned char *data = malloc(size);
        if (fread(data, 1, size, file) != size)
            return perror(names[photo]), 1;
        fclose(file);
        double least[4] = {1e18, 1e18, 1e18, 1e18};
        for (int round = 0; round < ROUNDS; round++)
            for (int way = 0; way < 4; way++) {
                double began = now();
                WAYS[way](data, size);
                double spent = now() - began;
                least[way] = spent < least[way] ? spent : least[way];
                if (way == 1)
                    differ += squares_differ();
            }
        for (int way = 0; way < 4; way++)
            sum[way] += least[way];
        free(data);
    }
    for (int way = 0; way < 4; way++)
        printf("%-18s %7.0f us\n", WORDS[way], sum[way] / (count - 1));
    printf("squares that differ: %d of %d\n", differ / ROUNDS, count - 1);
    return 0;
}
