/* formula.h - the arithmetic that counts bytes and FLOPs, as it is printed.
 *
 *     formula = term { ("+" | "-") term }      term = factor { ("*" | "/") factor }
 *     factor  = number | name | "(" formula ")"
 *
 * Because the text is what is calculated, a row's formula and its number cannot disagree.
 */
#ifndef BENCH_FORMULA_H
#define BENCH_FORMULA_H

#include "bench/bench.h"

/* names are the shape's keys and s. E_FORMAT names the place that is no formula; E_CONFIG the name
 * that is no key. */
MUST_CHECK Status formula_value(const char *text, const BenchShape *k, double *out);

#endif
