/* operands.h - the operands of wgmma in shared memory and in registers.
 *
 * A descriptor gives the start, two strides and the swizzle in bytes. Element (row, k) of an operand:
 *   by k     row / 8 * stride + row % 8 * swizzle + k * 2
 *   by rows  row / span * leading + k / 8 * stride + k % 8 * swizzle + row % span * 2, span =
 *            swizzle / 2
 * whereupon 16-byte pieces are exchanged by the address.
 */
#ifndef TESTS_EMULATOR_OPERANDS_H
#define TESTS_EMULATOR_OPERANDS_H

#include "tests/emulator/blocks.h"

#include <string.h>

namespace emulator
{

enum { STEPS = 16, PIECE_NUMBERS = 8 }; // along the sum; of 16 bytes

struct Tile {
    uint32_t start, leading, stride, swizzle;
    bool by_k;
};

/* What a descriptor of an operand of so many rows says; one that is wrong is reported. */
Tile tile_of(uint64_t descriptor, bool by_k, uint32_t rows);
/* 8 numbers of an operand: of one row from k on, or of one k from the row on. */
char *piece_at(const Tile &t, uint32_t row, uint32_t k);
float number_of(uint16_t bits, bool bf16);

/* f(row, k, piece) for all pieces of an operand. */
template <typename F>
void pieces_visit(const Tile &t, uint32_t rows, F f)
{
    for (uint32_t row = 0; row < rows; row += t.by_k ? 1 : PIECE_NUMBERS)
        for (uint32_t k = 0; k < STEPS; k += t.by_k ? PIECE_NUMBERS : 1)
            f(row, k, piece_at(t, row, k));
}

/* put(row, k, value) for all elements of an operand in shared memory. */
template <typename F>
void tile_read(const Tile &t, uint32_t rows, bool bf16, F put)
{
    pieces_visit(t, rows, [&](uint32_t row, uint32_t k, const char *piece) {
        uint16_t bits[PIECE_NUMBERS];
        race_read(piece, sizeof bits);
        memcpy(bits, piece, sizeof bits);
        for (uint32_t i = 0; i < PIECE_NUMBERS; i++)
            put(t.by_k ? row : row + i, t.by_k ? k + i : k, number_of(bits[i], bf16));
    });
}

/* The fragment: see kernels/sm90.cuh. */
inline int fragment_row(unsigned thread)
{
    return (int)(thread / LANES * 16 + thread % LANES / 4);
}
inline int fragment_column(unsigned thread)
{
    return (int)(thread % 4 * 2);
}

} // namespace emulator

#endif
