#include "value.h"

put_t value_put_bytes(pen_t *pen, unsigned tag, unsigned more, const void *data, Py_ssize_t size) {
    size_t whole = padded((uint64_t)size);
    if ((size_t)(pen->end - pen->at) < WORD + whole) return PUT_NO_ROOM;
    put_word(pen, word_of(tag, more, (uint64_t)size));
    if (whole) memset(pen->at + whole - WORD, 0, WORD);
    memcpy(pen->at, data, (size_t)size);
    pen->at += whole;
    return PUT_DONE;
}

/* An int beyond 61 bits: rare. */
static put_t put_large(pen_t *pen, PyObject *value) {
    PyObject *digits = PyNumber_ToBase(value, 16);
    if (!digits) return PUT_ERROR;
    put_t put = value_put_bytes(pen, TAG_LONG, 0, PyUnicode_1BYTE_DATA(digits), PyUnicode_GET_LENGTH(digits));
    Py_DECREF(digits);
    return put;
}

static put_t put_int(pen_t *pen, PyObject *value) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || number < LEAST_INT || number > MOST_INT) return put_large(pen, value);
    return put_word(pen, (uint64_t)number << 3);
}

static put_t put_str(pen_t *pen, PyObject *value) {
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(value) < 0) return PUT_ERROR;
#endif
    if (PyUnicode_IS_COMPACT_ASCII(value))
        return value_put_bytes(pen, TAG_STR, 1, PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value));
    PyObject *data = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass");
    if (!data) return PUT_ERROR;
    put_t put = value_put_bytes(pen, TAG_STR, 0, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
    Py_DECREF(data);
    return put;
}

put_t value_put(pen_t *pen, PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type) return put_int(pen, value);
    if (type == &PyUnicode_Type) return put_str(pen, value);
    if (type == &PyFloat_Type) {
        if ((size_t)(pen->end - pen->at) < 2 * WORD) return PUT_NO_ROOM;
        put_word(pen, word_of(TAG_FLOAT, 0, 0));
        double number = PyFloat_AS_DOUBLE(value);
        memcpy(pen->at, &number, WORD);
        pen->at += WORD;
        return PUT_DONE;
    }
    if (value == Py_None) return put_word(pen, word_of(TAG_CONST, 0, 0));
    if (type == &PyBool_Type) return put_word(pen, word_of(TAG_CONST, 0, value == Py_True ? 2 : 1));
    if (type == &PyBytes_Type)
        return value_put_bytes(pen, TAG_BYTES, 0, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    return PUT_NOT_PLAIN;
}

put_t value_put_tuple(pen_t *pen, PyObject *args) {
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    put_t put = put_word(pen, word_of(TAG_TUPLE, 0, (uint64_t)count));
    for (Py_ssize_t i = 0; put == PUT_DONE && i < count; i++) put = value_put(pen, PyTuple_GET_ITEM(args, i));
    return put;
}

static PyObject *get_str(const unsigned char *at, Py_ssize_t size, bool ascii) {
    if (!ascii) return PyUnicode_DecodeUTF8((const char *)at, size, "surrogatepass");
    PyObject *made = PyUnicode_New(size, 127);
    if (made && size) memcpy(PyUnicode_1BYTE_DATA(made), at, (size_t)size);
    return made;
}

static PyObject *get_large(const unsigned char *at, Py_ssize_t size) {
    PyObject *digits = PyBytes_FromStringAndSize((const char *)at, size);
    if (!digits) return NULL;
    PyObject *made = PyLong_FromString(PyBytes_AS_STRING(digits), NULL, 16);
    Py_DECREF(digits);
    return made;
}

PyObject *value_get(const unsigned char **at) {
    uint64_t word = get_word(at);
    switch (word_tag(word)) {
    case TAG_INT:
        return PyLong_FromLongLong((int64_t)word >> 3);
    case TAG_CONST: {
        PyObject *constants[] = {Py_None, Py_False, Py_True};
        return Py_NewRef(constants[word_length(word)]);
    }
    case TAG_FLOAT: {
        double number;
        memcpy(&number, *at, WORD);
        *at += WORD;
        return PyFloat_FromDouble(number);
    }
    }
    const unsigned char *data = *at;
    Py_ssize_t size = (Py_ssize_t)word_length(word);
    *at += padded(word_length(word));
    switch (word_tag(word)) {
    case TAG_BYTES:
        return PyBytes_FromStringAndSize((const char *)data, size);
    case TAG_STR:
        return get_str(data, size, word_more(word) == 1);
    case TAG_LONG:
        return get_large(data, size);
    }
    PyErr_Format(PyExc_SystemError, "procession: no value has the tag %u", word_tag(word));
    return NULL;
}
