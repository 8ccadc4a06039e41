"""Values that a test can make itself: an integer hash of seed and element, of either sign and at least half as large as
its class: 1, 1/2, 1/4, 1/8."""
import numpy


def gradients(seed, count):
    i = numpy.arange(count, dtype=numpy.uint64)
    h = (i + numpy.uint64(1)) * numpy.uint64(2654435761) + numpy.uint64(seed) * numpy.uint64(40503)
    h = (h ^ (h >> numpy.uint64(13))) * numpy.uint64(1274126177) & numpy.uint64(0xFFFFFFFF)
    size = numpy.float32(0.5) + (h >> numpy.uint64(9)).astype(numpy.float32) * numpy.float32(2.0**-24)
    sign = numpy.where((h & numpy.uint64(1)) == 1, numpy.float32(1), numpy.float32(-1))
    return sign * size * numpy.float32(0.5) ** (i % numpy.uint64(4)).astype(numpy.float32)
