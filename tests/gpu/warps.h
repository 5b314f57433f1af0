// Warps on the host: a warp's lanes are threads that wait for each other where they exchange values. What CUDA leaves
// undefined there is a fault. (The wait also orders the lanes' memory accesses, which CUDA's exchange does not.)
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

static const int LANES = 32;
static std::atomic<const char*> fault(nullptr);

struct Request {
    bool ended;  // the lane's kernel has returned
    uint32_t mask, value;
    int source;
};

class Warp {
public:
    // Waits until every lane has a request; gives the value of the lane's source.
    uint32_t exchange(int lane, Request request) {
        requests[lane] = request;
        const int own = round;
        if (++waiting < LANES) {
            while (round == own) std::this_thread::yield();
        } else {
            check();
            for (int n = 0; n < LANES; n++) answers[n] = requests[requests[n].source].value;
            waiting = 0;
            round++;
        }
        return answers[lane];
    }

    // For a lane whose kernel has returned: waits for those of all others.
    void end(int lane) {
        do exchange(lane, {true, 0, 0, lane});
        while (!over);
    }

private:
    void check() {
        uint32_t exchanging = 0;
        for (int lane = 0; lane < LANES; lane++) exchanging |= (uint32_t)!requests[lane].ended << lane;
        over = !exchanging;
        for (const Request& request : requests)
            if (!request.ended && (request.mask != exchanging || !(exchanging >> request.source & 1)))
                fault = "lanes exchange values, and the mask or a source names others";
    }

    std::atomic<int> waiting{0}, round{0};
    bool over = false;
    Request requests[LANES];
    uint32_t answers[LANES];
};

static thread_local Warp* this_warp = nullptr;
static thread_local int this_lane = 0;

// The value that the lane `step` below gives; the own one where there is none.
static uint32_t shuffle_up(uint32_t mask, uint32_t value, uint32_t step) {
    if (!this_warp) {
        fault = "a kernel exchanges values that is not among WARP_KERNELS";
        return value;
    }
    return this_warp->exchange(this_lane, {false, mask, value, this_lane - (step <= (uint32_t)this_lane ? (int)step : 0)});
}

// Calls run(n) for the threads of each warp, `at_once` warps at a time; warp n * leap modulo their number comes n-th.
template <class Run> void run_warps(int64_t warps, int64_t leap, int at_once, Run run) {
    std::vector<Warp> places(at_once);
    std::vector<std::thread> threads;
    for (int place = 0; place < at_once; place++)
        for (int lane = 0; lane < LANES; lane++)
            threads.emplace_back([=, &places] {
                this_warp = &places[place];
                this_lane = lane;
                for (int64_t n = place; n < warps; n += at_once) {
                    run(n * leap % warps * LANES + lane);
                    this_warp->end(lane);
                }
            });
    for (auto& thread : threads) thread.join();
}
