"""Writes tests/golden/order.txt: the order of samples that train/order.h describes, worked out anew.

    python tests/reference/order.py > tests/golden/order.txt

A line: n seed epoch, then the order. Needs nothing but Python 3.
"""
MASK = 0xFFFFFFFF


def philox(key0, key1, *counter):
    c0, c1, c2, c3 = counter
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ key0, p1 & MASK, (p0 >> 32) ^ c3 ^ key1, p0 & MASK
        key0, key1 = (key0 + 0x9E3779B9) & MASK, (key1 + 0xBB67AE85) & MASK
    return c0


def fold(seed):  # the finaliser of splitmix64, its bits 16 to 47
    wide = (1 << 64) - 1
    z = (seed + 0x9E3779B97F4A7C15) & wide
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & wide
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & wide
    return (z ^ z >> 31) >> 16 & MASK


def order(n, seed, epoch):
    samples = list(range(n))
    for i in range(n - 1, 0, -1):
        attempt = 0
        while True:
            product = philox(fold(seed), 0x0DE5, i, epoch, attempt, 0xFFFFFFFE) * (i + 1)
            if product & MASK >= (1 << 32) % (i + 1):
                break
            attempt += 1
        j = product >> 32
        samples[i], samples[j] = samples[j], samples[i]
    return samples


for case in [(1, 42, 0), (2, 42, 0), (12, 42, 0), (12, 42, 1), (12, 43, 0), (40, 8999999999999999, 7)]:
    print(*case, *order(*case))
