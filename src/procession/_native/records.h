/* What lies in the rings, beyond plain values.
 *
 * The task ring: records. Each begins with a header of two words and is `size` bytes in all, header included.
 *
 *   word 0   kind (8 bits), mode (8), last (4): the lease ends with this record; bodies (4): RANGE or not; size (32)
 *   word 1   GROUP: the function's number (32), count (32): items;   FRAME: the frame's kind (32), bytes (32)
 *   word 2   GROUP: the number of the first item (see ring.h)
 *   body     GROUP: `count` bodies; of WHOLE_ITEMS each a plain value, else each a TUPLE of plain values, or RAW bytes for
 *            `FunctionTable.decode`; of RANGE the first item and the step, two words for all of them;
 *            FRAME: the payload;   PIPED: none, the record itself is in the pipe
 *
 * The outcome ring: words. Plain values are outcomes as they are. A RAW word's `more` is one of OUT_*:
 *
 *   OUT_VALUE, OUT_ERROR   an outcome: so many bytes, of a pickle, of an encoded exception
 *   OUT_ARRAY              an outcome, in so many bytes: an array or a scalar of NumPy, see array.c
 *   OUT_MODE               what follows are outcomes of `length`: a mode of transport.frames
 *   OUT_END                a lease is left behind: `length` items were run; the next word says in how many nanoseconds
 *   OUT_PIPED              the next word of this ring (a value, or OUT_VALUE...) and what belongs to it is in the pipe
 *
 * What is larger than LARGEST goes through the pipe: see README.md, "Words and records".
 */
#ifndef PROCESSION_RECORDS_H
#define PROCESSION_RECORDS_H

#include "ring.h"
#include "value.h"

enum { RECORD_GROUP = 1, RECORD_FRAME, RECORD_PIPED };
enum { OUT_VALUE, OUT_ERROR, OUT_ARRAY, OUT_MODE, OUT_END, OUT_PIPED };
enum { MODE_CALLS, MODE_ITEMS, MODE_WHOLE_ITEMS }; /* as in transport/frames.py */
enum { BODIES_EACH, BODIES_RANGE };                 /* how those of a group are written */

#define GROUP_HEAD (3 * WORD)
#define FRAME_HEAD (2 * WORD)
#define LARGEST (TASK_SIZE / 4)
#define KEPT_FREE 4096u /* of the task ring, for PIPED records: more than there can be open leases */

typedef struct {
    unsigned kind, mode, last, bodies;
    uint32_t size, id, count, first;
} record_t;

static inline void record_write(unsigned char *at, record_t record) {
    uint64_t head = record.kind | record.mode << 8 | record.last << 16 | record.bodies << 20 | (uint64_t)record.size << 32;
    uint64_t more = record.id | (uint64_t)record.count << 32;
    memcpy(at, &head, WORD);
    memcpy(at + WORD, &more, WORD);
    if (record.kind == RECORD_GROUP) {
        uint64_t first = record.first;
        memcpy(at + 2 * WORD, &first, WORD);
    }
}

static inline record_t record_read(const unsigned char *at) {
    uint64_t head, more, first = 0;
    memcpy(&head, at, WORD);
    memcpy(&more, at + WORD, WORD);
    if ((head & 0xFF) == RECORD_GROUP) memcpy(&first, at + 2 * WORD, WORD);
    return (record_t){head & 0xFF,    head >> 8 & 0xFF,       head >> 16 & 0xF, head >> 20 & 0xF, (uint32_t)(head >> 32),
                      (uint32_t)more, (uint32_t)(more >> 32), (uint32_t)first};
}

#endif
