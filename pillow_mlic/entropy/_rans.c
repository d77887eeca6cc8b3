/* CompressAI's rANS bit stream in C: the twin of rans.py, which says what the stream is.

   Nothing here trusts its arguments. Table rows, symbols and streams cross as buffers whose sizes
   are looked at once; every index into them is checked where it is used, whatever they hold. So
   no stream and no table can make it leave its memory, not even a buffer that another thread
   changes meanwhile: the interpreter lock is not held while it codes. What a stream may not hold
   is refused by a number; c_coder.py has the sentences. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

#define STATE_MIN ((uint64_t)1 << 31)
#define MOST_DIGITS 7

/* How coding ended. c_coder.py knows the first three, too. */
enum { DONE, TOO_EARLY, ESCAPE_TOO_LONG, TOO_FAR, WRONG_ROW, NO_MEMORY };

/* Rows of rows.py: row r counts from counts[starts[r]] to counts[starts[r + 1] - 1]. */
typedef struct {
    const uint32_t *counts;
    const int64_t *starts;
    const int32_t *offsets;
    int64_t size, rows;
} Tables;

typedef struct {
    const uint32_t *counts;
    int64_t length, offset; /* ordinary symbols, the first of them; `length` + 2 counts */
} Row;

/* Whether there is a row `index` that lies within the tables. */
static int find_row(const Tables *tables, int32_t index, Row *row)
{
    if (index < 0 || index >= tables->rows) return 0;
    const int64_t start = tables->starts[index], end = tables->starts[index + 1];
    if (start < 0 || start > tables->size || end > tables->size || end < start + 3) return 0;
    row->counts = tables->counts + start;
    row->length = end - start - 2;
    row->offset = tables->offsets[index];
    return 1;
}

/* --- encoding --------------------------------------------------------------------------------- */

/* Words in the order in which they are spilt, the last one first in the stream. */
typedef struct {
    uint32_t *words;
    size_t used, room;
} Spilt;

static int spill(Spilt *spilt, uint64_t *state)
{
    if (spilt->used >= spilt->room) {
        const size_t room = spilt->room + spilt->room / 2 + 64;
        if (room > (size_t)PY_SSIZE_T_MAX / 4) return 0;
        uint32_t *words = realloc(spilt->words, 4 * room);
        if (words == NULL) return 0;
        spilt->words = words;
        spilt->room = room;
    }
    spilt->words[spilt->used++] = (uint32_t)*state;
    *state >>= 32;
    return 1;
}

static int put_digit(Spilt *spilt, uint64_t *state, unsigned digit)
{
    if (*state >= (uint64_t)1 << 59 && !spill(spilt, state)) return 0;
    *state = *state << 4 | digit;
    return 1;
}

/* The digits of an escaped value, the highest first, and then how many they are. */
static int put_escape(Spilt *spilt, uint64_t *state, int64_t value, int64_t length)
{
    const int64_t raw = value < 0 ? -2 * value - 1 : 2 * (value - length);
    if (raw >> 4 * MOST_DIGITS) return TOO_FAR;
    unsigned digits = 0;
    while (raw >> 4 * digits) digits++;
    for (unsigned i = digits; i-- > 0;)
        if (!put_digit(spilt, state, raw >> 4 * i & 15)) return NO_MEMORY;
    return put_digit(spilt, state, digits) ? DONE : NO_MEMORY;
}

static int put_all(Spilt *spilt, const int32_t *symbols, const int32_t *indexes, Py_ssize_t count,
                   const Tables *tables)
{
    uint64_t state = STATE_MIN;
    for (Py_ssize_t i = count; i-- > 0;) {
        Row row;
        if (!find_row(tables, indexes[i], &row)) return WRONG_ROW;
        int64_t value = symbols[i] - row.offset;
        if (value < 0 || value >= row.length) {
            const int problem = put_escape(spilt, &state, value, row.length);
            if (problem) return problem;
            value = row.length;
        }
        const uint32_t start = row.counts[value], width = row.counts[value + 1] - start;
        if (width == 0) return WRONG_ROW; /* it is divided by */
        if (state >= (uint64_t)width << 47 && !spill(spilt, &state)) return NO_MEMORY;
        state = (state / width << 16) + state % width + start;
    }
    state = state << 32 | state >> 32; /* its low word comes first in the stream: it is spilt last */
    return spill(spilt, &state) && spill(spilt, &state) ? DONE : NO_MEMORY;
}

/* --- decoding --------------------------------------------------------------------------------- */

typedef struct {
    const unsigned char *data;
    uint64_t words, position, state;
} Stream;

/* Read a word where the state is too small; 0 where there is none. */
static int refill(Stream *stream)
{
    if (stream->state >= STATE_MIN) return 1;
    if (stream->position >= stream->words) return 0;
    const unsigned char *at = stream->data + 4 * stream->position++;
    const uint32_t word = at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
    stream->state = stream->state << 32 | word;
    return 1;
}

static int take_digit(Stream *stream, unsigned *digit)
{
    *digit = stream->state & 15;
    stream->state >>= 4;
    return refill(stream);
}

/* Replaces the number of an escape by the value that follows it. */
static int take_escape(Stream *stream, int64_t *value)
{
    unsigned digits, digit;
    int64_t raw = 0;
    if (!take_digit(stream, &digits)) return TOO_EARLY;
    if (digits > MOST_DIGITS) return ESCAPE_TOO_LONG;
    for (unsigned i = 0; i < digits; i++) {
        if (!take_digit(stream, &digit)) return TOO_EARLY;
        raw |= (int64_t)digit << 4 * i;
    }
    *value = raw & 1 ? -(raw >> 1) - 1 : *value + (raw >> 1);
    return DONE;
}

static int take_all(Stream *stream, int32_t *symbols, const int32_t *indexes, Py_ssize_t count,
                    const Tables *tables)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Row row;
        if (!find_row(tables, indexes[i], &row)) return WRONG_ROW;
        const uint32_t place = stream->state & 0xFFFF;
        /* The last of the row's length + 1 intervals that does not start above `place`. */
        const uint32_t *interval = row.counts;
        for (int64_t left = row.length + 1, half; left > 1; left -= half) {
            half = left / 2;
            if (interval[half] <= place) interval += half;
        }
        const uint32_t start = interval[0], width = interval[1] - start;
        stream->state = width * (stream->state >> 16) + place - start;
        if (!refill(stream)) return TOO_EARLY;
        int64_t value = interval - row.counts;
        if (value == row.length) {
            const int problem = take_escape(stream, &value);
            if (problem) return problem;
        }
        symbols[i] = (int32_t)(value + row.offset);
    }
    return DONE;
}

/* --- what Python sees ------------------------------------------------------------------------- */

/* Items of `size` bytes in a buffer; -1, and an exception, where it holds others. */
static Py_ssize_t items(const Py_buffer *view, size_t size)
{
    const size_t length = (size_t)view->len;
    if ((size_t)view->itemsize == size && length % size == 0 && (uintptr_t)view->buf % size == 0)
        return (Py_ssize_t)(length / size);
    PyErr_Format(PyExc_ValueError, "a buffer must hold aligned items of %zu bytes", size);
    return -1;
}

/* The tables in three buffers; 0, and an exception, where they do not fit together. */
static int read_tables(const Py_buffer views[3], Tables *tables)
{
    const Py_ssize_t size = items(&views[0], 4), starts = items(&views[1], 8);
    const Py_ssize_t rows = items(&views[2], 4);
    if (size < 0 || starts < 0 || rows < 0) return 0;
    if (starts != rows + 1) {
        PyErr_SetString(PyExc_ValueError, "n rows need n + 1 starts and n offsets");
        return 0;
    }
    *tables = (Tables){views[0].buf, views[1].buf, views[2].buf, size, rows};
    return 1;
}

static int same_length(Py_ssize_t symbols, Py_ssize_t indexes)
{
    if (symbols < 0 || indexes < 0) return 0; /* the exception is set */
    if (symbols == indexes) return 1;
    PyErr_SetString(PyExc_ValueError, "every symbol needs one row index");
    return 0;
}

static PyObject *stream_of(const Spilt *spilt)
{
    PyObject *stream = PyBytes_FromStringAndSize(NULL, 4 * (Py_ssize_t)spilt->used);
    if (stream == NULL) return NULL;
    unsigned char *at = (unsigned char *)PyBytes_AsString(stream);
    for (size_t i = spilt->used; i-- > 0;)
        for (int shift = 0; shift < 32; shift += 8) *at++ = spilt->words[i] >> shift & 0xFF;
    return stream;
}

static const char wrong_row[] = "there is no such table row";

static PyObject *encode(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer views[5];
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*:encode", &views[0], &views[1], &views[2], &views[3],
                          &views[4]))
        return NULL;
    PyObject *stream = NULL;
    Tables tables;
    const Py_ssize_t count = items(&views[0], 4);
    if (same_length(count, items(&views[1], 4)) && read_tables(views + 2, &tables)) {
        Spilt spilt = {NULL, 0, 0};
        int problem;
        Py_BEGIN_ALLOW_THREADS
        problem = put_all(&spilt, views[0].buf, views[1].buf, count, &tables);
        Py_END_ALLOW_THREADS
        if (problem == DONE) stream = stream_of(&spilt);
        else if (problem == TOO_FAR) stream = Py_NewRef(Py_None);
        else if (problem == WRONG_ROW) PyErr_SetString(PyExc_ValueError, wrong_row);
        else PyErr_NoMemory();
        free(spilt.words);
    }
    for (int i = 0; i < 5; i++) PyBuffer_Release(&views[i]);
    return stream;
}

static PyObject *decode(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer views[6];
    unsigned long long state, position;
    if (!PyArg_ParseTuple(args, "w*y*KKy*y*y*y*:decode", &views[0], &views[1], &state, &position,
                          &views[2], &views[3], &views[4], &views[5]))
        return NULL;
    PyObject *result = NULL;
    Tables tables;
    const Py_ssize_t count = items(&views[0], 4);
    if (same_length(count, items(&views[1], 4)) && read_tables(views + 3, &tables)) {
        Stream stream = {views[2].buf, (uint64_t)views[2].len / 4, position, state};
        int problem;
        Py_BEGIN_ALLOW_THREADS
        problem = take_all(&stream, views[0].buf, views[1].buf, count, &tables);
        Py_END_ALLOW_THREADS
        state = stream.state;
        position = stream.position;
        if (problem == WRONG_ROW) PyErr_SetString(PyExc_ValueError, wrong_row);
        else result = Py_BuildValue("iKK", problem, state, position);
    }
    for (int i = 0; i < 6; i++) PyBuffer_Release(&views[i]);
    return result;
}

static PyMethodDef functions[] = {
    {"encode", encode, METH_VARARGS,
     "encode(symbols, indexes, counts, starts, offsets) -> bytes | None: see _rans.pyi."},
    {"decode", decode, METH_VARARGS,
     "decode(symbols, indexes, state, position, data, counts, starts, offsets): see _rans.pyi."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_rans",
    .m_doc = "CompressAI's rANS bit stream; rans.py in C.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__rans(void)
{
    return PyModuleDef_Init(&definition);
}
