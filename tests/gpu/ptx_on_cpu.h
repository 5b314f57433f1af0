// The PTX instructions that the kernels use, as functions: ptx_INSTRUCTION_MODIFIERS<types>(sources).
// See NVIDIA's "Parallel Thread Execution ISA", chapter "Instruction Set".
#include <cstdint>
#include <cstring>

typedef bool pred;
typedef uint8_t u8, b8;
typedef uint16_t u16, b16;
typedef uint32_t u32, b32;
typedef uint64_t u64, b64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

template <class T> struct Wide;
template <> struct Wide<s16> { typedef s32 type; };
template <> struct Wide<u16> { typedef u32 type; };
template <> struct Wide<s32> { typedef s64 type; };
template <> struct Wide<u32> { typedef u64 type; };
template <> struct Wide<s64> { typedef __int128 type; };
template <> struct Wide<u64> { typedef unsigned __int128 type; };

// ---- memory

template <class T> T ptx_ld(u64 address) { T value; memcpy(&value, (const void*)address, sizeof value); return value; }
template <class T> void ptx_st(u64 address, T value) { memcpy((void*)address, &value, sizeof value); }
template <class T> T ptx_atom_or(u64 address, T value) {
    T old = ptx_ld<T>(address);
    ptx_st<T>(address, old | value);
    return old;
}

// ---- moves and conversions

template <class T> T ptx_mov(T a) { return a; }
template <class T> T ptx_cvta(T a) { return a; }
template <class To, class From> To ptx_cvt(From a) { return (To)a; }
template <class T> T ptx_selp(T a, T b, pred p) { return p ? a : b; }
template <class T> T ptx_part(T a, int number) { return a >> number * sizeof(T) * 4 & (((T)1 << sizeof(T) * 4) - 1); }
template <class T> T ptx_join(T low, T high) { return high << sizeof(T) * 4 | low; }
template <class T> T ptx_prmt(T a, T b, u32 selector) {
    u64 bytes = (u64)b << 32 | a;
    u32 result = 0;
    for (int n = 0; n < 4; n++) {
        u32 select = selector >> 4 * n & 15, value = bytes >> 8 * (select & 7) & 255;
        result |= (select & 8 ? (value & 128 ? 255 : 0) : value) << 8 * n;
    }
    return result;
}

// ---- arithmetic

template <class T> T ptx_add(T a, T b) { return a + b; }
template <class T> T ptx_sub(T a, T b) { return a - b; }
template <class T> T ptx_div(T a, T b) { return a / b; }
template <class T> T ptx_rem(T a, T b) { return a % b; }
template <class T> T ptx_neg(T a) { return -a; }
template <class T> T ptx_abs(T a) { return a < 0 ? -a : a; }
template <class T> T ptx_min(T a, T b) { return a < b ? a : b; }
template <class T> T ptx_max(T a, T b) { return a > b ? a : b; }
template <class T> typename Wide<T>::type ptx_mul_wide(T a, T b) { return (typename Wide<T>::type)a * b; }
template <class T> T ptx_mul_hi(T a, T b) { return ptx_mul_wide<T>(a, b) >> sizeof(T) * 8; }
template <class T> T ptx_mul_lo(T a, T b) { return ptx_mul_wide<T>(a, b); }
template <class T> T ptx_mad_lo(T a, T b, T c) { return ptx_mul_wide<T>(a, b) + c; }
template <class T> typename Wide<T>::type ptx_mad_wide(T a, T b, typename Wide<T>::type c) {
    return ptx_mul_wide<T>(a, b) + c;
}
// The two 16-bit parts of a times the two low 8-bit parts of b.
template <class A, class B> u32 ptx_dp2a_lo(u32 a, u32 b, u32 c) {
    const bool is_signed[2] = {(A)-1 < 0, (B)-1 < 0};
    for (int n = 0; n < 2; n++) {
        u16 left = a >> 16 * n;
        u8 right = b >> 8 * n;
        c += (is_signed[0] ? (s32)(s16)left : (s32)left) * (is_signed[1] ? (s32)(s8)right : (s32)right);
    }
    return c;
}

// ---- bits

template <class T> T ptx_and(T a, T b) { return a & b; }
template <class T> T ptx_or(T a, T b) { return a | b; }
template <class T> T ptx_xor(T a, T b) { return a ^ b; }
template <class T> T ptx_not(T a) { return ~a; }
template <> inline pred ptx_not<pred>(pred a) { return !a; }
// Shifts by the number of bits or more leave zeros, or copies of the sign.
template <class T> T ptx_shl(T a, u32 count) { return count < sizeof(T) * 8 ? a << count : 0; }
template <class T> T ptx_shr(T a, u32 count) { return count < sizeof(T) * 8 ? a >> count : a < 0 ? -1 : 0; }
template <class T> T ptx_shf_l_wrap(T low, T high, u32 count) {
    return (((u64)high << 32 | low) << (count & 31)) >> 32;
}
template <class T> T ptx_shf_r_wrap(T low, T high, u32 count) { return ((u64)high << 32 | low) >> (count & 31); }
template <class T> u32 ptx_clz(T a) {
    u32 count = 0;
    for (T bit = (T)1 << (sizeof(T) * 8 - 1); bit && !(a & bit); bit >>= 1) count++;
    return count;
}

// ---- between lanes

template <class T> T ptx_shfl_sync_up(pred& is_lane, T a, u32 step, u32 clamp, u32 mask) {
    if (clamp) fault = "lanes exchange values within parts of a warp";
    is_lane = step <= (u32)this_lane;
    return shuffle_up(mask, a, step);
}

// ---- comparisons

template <class T> pred ptx_setp_eq(T a, T b) { return a == b; }
template <class T> pred ptx_setp_ne(T a, T b) { return a != b; }
template <class T> pred ptx_setp_lt(T a, T b) { return a < b; }
template <class T> pred ptx_setp_le(T a, T b) { return a <= b; }
template <class T> pred ptx_setp_gt(T a, T b) { return a > b; }
template <class T> pred ptx_setp_ge(T a, T b) { return a >= b; }
