// Repeats what tests/gpu/threaded_kernels.py recorded; reads it from standard input. Ends with a message and status 1
// where bytes that were copied from the device are not the recorded ones, or lanes exchange values in a wrong way.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

struct Argument { char* address; int64_t number; };
struct Kernel { int parameters; bool in_warps; std::function<void()> run; };

// KERNELS

// The kernel's threads, or warps, are dealt out in turn, so that neighbours run at the same time.
static const int THREADS = 5, WARPS = 2, SPARE = 3;

static void read(void* target, size_t size) {
    if (fread(target, 1, size, stdin) != size) abort();
}

static int64_t read_number() {
    int64_t number;
    read(&number, sizeof number);
    return number;
}

static void launch(const std::vector<char*>& buffers) {
    int number = (int)read_number();
    int64_t threads = read_number() + SPARE;
    Argument arguments[16] = {};
    const Kernel kernel = kernel_of(number, arguments);
    for (int n = 0; n < kernel.parameters; n++) {
        int64_t buffer = read_number(), value = read_number();
        arguments[n] = {buffer < 0 ? nullptr : buffers.at(buffer) + value, value};
    }
    auto run = [&](int64_t n) {
        blockIdx.x = (unsigned int)n;
        kernel_of(number, arguments).run();
    };
    if (kernel.in_warps) return run_warps((threads + LANES - 1) / LANES, 1, WARPS, run);
    std::vector<std::thread> workers;
    for (int worker = 0; worker < THREADS; worker++)
        workers.emplace_back([=] { for (int64_t n = worker; n < threads; n += THREADS) run(n); });
    for (auto& worker : workers) worker.join();
}

int main() {
    std::vector<char*> buffers;
    for (int event; (event = getchar()) != EOF;) {
        if (event == 'L') {
            launch(buffers);
        } else if (event == 'A') {
            size_t size = read_number();
            buffers.push_back((char*)memset(malloc(size), 0xA5, size));
        } else {  // W: copied to the device; C: copied from it
            char* at = buffers.at(read_number());
            at += read_number();
            std::vector<char> data(read_number());
            read(data.data(), data.size());
            if (event == 'W') memcpy(at, data.data(), data.size());
            else if (memcmp(at, data.data(), data.size())) {
                fputs("a copy from the device has other bytes than one thread made\n", stderr);
                return 1;
            }
        }
    }
    for (char* buffer : buffers) free(buffer);
    if (fault) {
        fprintf(stderr, "%s\n", fault.load());
        return 1;
    }
}
