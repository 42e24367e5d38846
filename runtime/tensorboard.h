/* tensorboard.h - the numbers of a run as an event file that TensorBoard shows.
 *
 * The file is a sequence of records (tensorflow/core/lib/io/record_writer.h):
 *
 *     uint64 length; uint32 mask(crc32c(length)); byte data[length]; uint32 mask(crc32c(data))
 *     mask(c) = (c >> 15 | c << 17) + 0xa282ead8, all little-endian
 *
 * Each is a protocol buffer (tensorboard/compat/proto/event.proto, summary.proto):
 *
 *     Event   { 1 wall_time: double; 2 step: int64; 3 file_version: string; 5 summary: Summary;
 *               7 session_log: SessionLog }
 *     Summary { 1 value: repeated Value }      Value { 1 tag: string; 2 simple_value: float }
 *     SessionLog { 1 status: START = 1 }
 *
 * The second event is a SessionLog START at the step after the resumed one, or at 0: TensorBoard
 * then drops what earlier files of the folder say from there on. So a run that died before its
 * first checkpoint leaves no points beside those of the run that begins anew in its folder.
 */
#ifndef RUNTIME_TENSORBOARD_H
#define RUNTIME_TENSORBOARD_H

#include "runtime/metrics.h"

#include <stddef.h>

typedef struct Tensorboard Tensorboard;

/* Creates <folder>/events.out.tfevents.<time>.<host>.<process>.<number>; the folder exists. `time`
 * is seconds since 1970; resumed_step < 0: a run from its start. E_IO names the path. */
MUST_CHECK Status tensorboard_open(Tensorboard **out, const char *folder, double time,
                                   int64_t resumed_step);
const char *tensorboard_path(const Tensorboard *t);

/* One event with all values, flushed. Values are stored as floats. */
MUST_CHECK Status tensorboard_write(Tensorboard *t, int64_t step, double time,
                                    const Metric values[], int count);
void tensorboard_close(Tensorboard *t); // NULL is fine

/* CRC-32C (Castagnoli), RFC 3720 appendix B.4. */
uint32_t crc32c(const void *bytes, size_t count);

#endif
