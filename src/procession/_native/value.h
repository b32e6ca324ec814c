/* Plain values as words: what travels through the rings without being pickled.
 *
 * A word's low three bits are its tag. An INT is in the word itself, shifted left by three. Of all others the next five
 * bits say more, and the upper 56 are a length:
 *
 *   CONST   the length is 0, 1, 2 for None, False, True
 *   FLOAT   the next word is the double
 *   BYTES   so many bytes follow, padded to words
 *   STR     so many bytes of UTF-8 (surrogates pass) follow, padded; `more` is 1 if all are ASCII
 *   LONG    a larger int: so many hexadecimal digits, with sign, follow, padded
 *   TUPLE   so many values follow: NEST_ARGS are the arguments of a call, NEST_TUPLE and NEST_LIST a value; of a NEST_DICT
 *           so many keys, each with its value
 *   RAW     whatever a record says: see records.h
 *
 * Only exact int, float, bool, None, str and bytes are plain: nothing here runs code of a user, or shares an object. Small
 * nests of these, exact tuples, lists and dicts without anything that is in them twice, are what a task may return so.
 */
#ifndef PROCESSION_VALUE_H
#define PROCESSION_VALUE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TAG_INT, TAG_CONST, TAG_FLOAT, TAG_BYTES, TAG_STR, TAG_LONG, TAG_TUPLE, TAG_RAW };

#define MOST_SMALL 65535 /* bytes or characters: what is larger is `put aside`, see transport/aside.py */
enum { NEST_ARGS, NEST_TUPLE, NEST_LIST, NEST_DICT };
#define MOST_NESTED 4096 /* bytes */

#define WORD sizeof(uint64_t)
#define LEAST_INT (-(INT64_C(1) << 60))
#define MOST_INT ((INT64_C(1) << 60) - 1)

static inline uint64_t word_of(unsigned tag, unsigned more, uint64_t length) { return length << 8 | more << 3 | tag; }
static inline unsigned word_tag(uint64_t word) { return word & 7; }
static inline unsigned word_more(uint64_t word) { return word >> 3 & 31; }
static inline uint64_t word_length(uint64_t word) { return word >> 8; }
static inline size_t padded(uint64_t length) { return (size_t)(length + 7) & ~(size_t)7; }

/* Where words are written. */
typedef struct {
    unsigned char *at, *end;
} pen_t;

typedef enum {
    PUT_DONE,
    PUT_NO_ROOM,
    PUT_NOT_PLAIN,
    PUT_ERROR, /* an exception is set */
} put_t;

put_t value_put(pen_t *pen, PyObject *value);
put_t value_put_tuple(pen_t *pen, PyObject *args);
put_t value_put_bytes(pen_t *pen, unsigned tag, unsigned more, const void *data, Py_ssize_t size);

/* A nest of plain values, if it is a small one: else PUT_NOT_PLAIN. */
put_t value_put_nest(pen_t *pen, PyObject *value);

/* The value at *at, which moves behind it; NULL and an exception when there is no memory. No NEST_ARGS, no RAW.
 * Making a nest may run the collector, and that code of others: what `at` points to must outlast that. */
PyObject *value_get(const unsigned char **at);
PyObject *values_are_small(PyObject *module, PyObject *items);
/* Move behind a value that nobody wants. */
void value_skip(const unsigned char **at);

static inline bool value_is_plain(PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    return type == &PyLong_Type || type == &PyUnicode_Type || type == &PyFloat_Type || type == &PyBytes_Type ||
           type == &PyBool_Type || value == Py_None;
}

static inline bool value_is_nest(PyObject *value) {
    return PyTuple_CheckExact(value) || PyList_CheckExact(value) || PyDict_CheckExact(value);
}
static inline bool word_is_nest(uint64_t word) { return word_tag(word) == TAG_TUPLE; }

/* Plain, and not worth another way than through a ring. */
static inline bool value_is_small(PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyBytes_Type) return PyBytes_GET_SIZE(value) <= MOST_SMALL;
    if (type == &PyUnicode_Type) return PyUnicode_GET_LENGTH(value) <= MOST_SMALL;
    return value_is_plain(value);
}

static inline put_t put_word(pen_t *pen, uint64_t word) {
    if ((size_t)(pen->end - pen->at) < WORD) return PUT_NO_ROOM;
    memcpy(pen->at, &word, WORD);
    pen->at += WORD;
    return PUT_DONE;
}

/* Bytes, filled up with zeros to whole words; the caller has looked that there is room. */
static inline void put_padded(pen_t *pen, const void *data, size_t size) {
    size_t whole = padded((uint64_t)size);
    if (whole) memset(pen->at + whole - WORD, 0, WORD);
    memcpy(pen->at, data, size);
    pen->at += whole;
}

static inline uint64_t get_word(const unsigned char **at) {
    uint64_t word;
    memcpy(&word, *at, WORD);
    *at += WORD;
    return word;
}

#endif
