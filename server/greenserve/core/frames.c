/* WebSocket frames that need no thought (RFC 6455 §5.2): whole messages, masked and uncompressed, in; the same without
 * a mask out.
 *
 * What else comes, and whatever breaks a rule, is left to Python: websocket/framing/reader.py and frames.py. How long
 * a message may be is handed in with each call.
 *
 * Where a message ends is a call of its own, as a pair of both would be an object that the collector knows: a
 * collection could run, and in it code that switches and feeds the same reader. */
#include "frames.h"

#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TEXT 0x81 /* first bytes: FIN and the opcode */
#define BINARY 0x82
#define MASKED 0x80
#define KEY 4
#define LONGEST_TINY 125
#define LONGEST_SHORT 0xFFFF
#define LONGEST_HEADER 10 /* without a key */

static const uint64_t HIGH_BITS = 0x8080808080808080u;

/* Copy without the mask (§5.3). Return 1 if all that comes out is ASCII. */
static int copy_unmasked(unsigned char *out, const unsigned char *in, size_t length, const unsigned char *key) {
    uint64_t keys, word, seen = 0;
    memcpy(&keys, key, KEY);
    memcpy((unsigned char *)&keys + KEY, key, KEY);
#ifdef __SSE2__
    const __m128i all_keys = _mm_set1_epi64x((long long)keys);
    __m128i all_seen = _mm_setzero_si128();
    size_t at = 0;
#pragma GCC unroll 4
    for (; at + 16 <= length; at += 16) {
        __m128i plain = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(in + at)), all_keys);
        all_seen = _mm_or_si128(all_seen, plain);
        _mm_storeu_si128((__m128i *)(out + at), plain);
    }
    in += at, out += at, length -= at;
    if (_mm_movemask_epi8(all_seen))
        seen = HIGH_BITS;
#endif
    for (; length >= 8; in += 8, out += 8, length -= 8) {
        memcpy(&word, in, 8);
        word ^= keys;
        seen |= word;
        memcpy(out, &word, 8);
    }
    for (size_t i = 0; i < length; i++) {
        out[i] = in[i] ^ key[i % KEY];
        seen |= out[i];
    }
    return !(seen & HIGH_BITS);
}

static uint64_t number_of(const unsigned char *bytes, size_t count) {
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* A frame as far as its payload. */
typedef struct {
    unsigned char first;
    const unsigned char *key, *payload;
    size_t length;
} Frame;

/* Return 0 if the frame at the beginning of the data is not ordinary, or not all there. */
static int find_frame(const unsigned char *data, size_t size, size_t longest, Frame *frame) {
    if (size < 2 + KEY || (data[0] != TEXT && data[0] != BINARY) || !(data[1] & MASKED))
        return 0;
    uint64_t length = data[1] & 0x7F, shortest = 0;
    size_t extended = 0;
    if (length > LONGEST_TINY) {
        extended = length == LONGEST_TINY + 1 ? 2 : 8;
        shortest = extended == 2 ? LONGEST_TINY + 1 : LONGEST_SHORT + 1;
        if (size < 2 + extended + KEY)
            return 0;
        length = number_of(data + 2, extended);
    }
    const size_t start = 2 + extended + KEY;
    if (length < shortest || length > longest || length > size - start)
        return 0;
    *frame = (Frame){data[0], data + 2 + extended, data + start, length};
    return 1;
}

static PyObject *binary_of(const Frame *frame) {
    PyObject *message = PyBytes_FromStringAndSize(NULL, frame->length);
    if (message != NULL)
        copy_unmasked((unsigned char *)PyBytes_AS_STRING(message), frame->payload, frame->length, frame->key);
    return message;
}

/* Return NULL without an exception if it is not UTF-8. Most text is ASCII, and is unmasked to where it stays. */
static PyObject *text_of(const Frame *frame) {
    PyObject *message = PyUnicode_New(frame->length, 0x7F);
    if (message == NULL)
        return NULL;
    unsigned char *text = PyUnicode_1BYTE_DATA(message);
    if (!copy_unmasked(text, frame->payload, frame->length, frame->key)) {
        Py_SETREF(message, PyUnicode_DecodeUTF8((char *)text, frame->length, "strict"));
        if (message == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
            PyErr_Clear();
    }
    return message;
}

/* Find the frame that begins at args[1] of the data args[0]. Return -1 with an exception. */
static int find_argument(PyObject *const *args, size_t longest, Frame *frame) {
    const Py_ssize_t at = PyLong_AsSsize_t(args[1]);
    if (at == -1 && PyErr_Occurred())
        return -1;
    if (!PyBytes_CheckExact(args[0]) || at < 0 || at > PyBytes_GET_SIZE(args[0]))
        return 0;
    return find_frame((unsigned char *)PyBytes_AS_STRING(args[0]) + at, PyBytes_GET_SIZE(args[0]) - at, longest, frame);
}

static PyObject *take_message(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "take_message(data: bytes, at: int, longest: int)");
        return NULL;
    }
    int is_beyond;
    const long long longest = PyLong_AsLongLongAndOverflow(args[2], &is_beyond);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    if (longest < 0 && is_beyond <= 0)
        Py_RETURN_NONE;
    Frame frame;
    const int is_found = find_argument(args, is_beyond ? SIZE_MAX : (size_t)longest, &frame);
    PyObject *message = is_found <= 0 ? NULL : frame.first == TEXT ? text_of(&frame) : binary_of(&frame);
    return message != NULL || PyErr_Occurred() ? message : Py_NewRef(Py_None);
}

static PyObject *end_of_message(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "end_of_message(data: bytes, at: int)");
        return NULL;
    }
    Frame frame;
    const int is_found = find_argument(args, SIZE_MAX, &frame);
    if (is_found <= 0) {
        if (is_found == 0)
            PyErr_SetString(PyExc_ValueError, "no message was taken there");
        return NULL;
    }
    return PyLong_FromSsize_t((char *)frame.payload + frame.length - PyBytes_AS_STRING(args[0]));
}

static PyObject *frame_of(unsigned char first, const char *payload, size_t length) {
    unsigned char header[LONGEST_HEADER] = {first};
    size_t extended = length <= LONGEST_TINY ? 0 : length <= LONGEST_SHORT ? 2 : 8;
    header[1] = extended == 0 ? length : extended == 2 ? LONGEST_TINY + 1 : LONGEST_TINY + 2;
    for (size_t i = 0; i < extended; i++)
        header[2 + i] = (uint64_t)length >> 8 * (extended - 1 - i);
    PyObject *frame = PyBytes_FromStringAndSize(NULL, 2 + extended + length);
    if (frame != NULL) {
        char *out = PyBytes_AS_STRING(frame);
        memcpy(out, header, 2 + extended);
        memcpy(out + 2 + extended, payload, length);
    }
    return frame;
}

/* Not PyUnicode_AsUTF8(): the message would keep its UTF-8 as long as it lives. */
static PyObject *frame_of_utf8(PyObject *message, size_t longest) {
    PyObject *payload = PyUnicode_AsUTF8String(message), *frame;
    if (payload == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return NULL;
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    const size_t length = PyBytes_GET_SIZE(payload);
    frame = length > longest ? Py_NewRef(Py_None) : frame_of(TEXT, PyBytes_AS_STRING(payload), length);
    Py_DECREF(payload);
    return frame;
}

static PyObject *make_frame(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "make_frame(message: str | bytes, longest: int)");
        return NULL;
    }
    PyObject *message = args[0];
    const Py_ssize_t longest = PyLong_AsSsize_t(args[1]);
    if (longest == -1 && PyErr_Occurred())
        return NULL;
    if (PyBytes_CheckExact(message) && PyBytes_GET_SIZE(message) <= longest)
        return frame_of(BINARY, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message));
    /* A character takes a byte or more. */
    if (!PyUnicode_CheckExact(message) || PyUnicode_GET_LENGTH(message) > longest)
        Py_RETURN_NONE;
    if (PyUnicode_IS_COMPACT_ASCII(message))
        return frame_of(TEXT, (char *)PyUnicode_1BYTE_DATA(message), PyUnicode_GET_LENGTH(message));
    return frame_of_utf8(message, longest);
}

static PyObject *unmask(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Py_buffer payload, key;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "unmask(payload: bytes | bytearray, key: bytes)");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    PyObject *result = NULL;
    if (key.len != KEY)
        PyErr_SetString(PyExc_ValueError, "a key is 4 bytes");
    else {
        const Frame frame = {BINARY, key.buf, payload.buf, payload.len};
        result = binary_of(&frame);
    }
    PyBuffer_Release(&payload);
    PyBuffer_Release(&key);
    return result;
}

PyMethodDef frame_functions[] = {
    {"take_message", (PyCFunction)(void (*)(void))take_message, METH_FASTCALL,
     "take_message(data, at, longest): the message of the frame that begins at `at`, or None: Python is to read it."},
    {"end_of_message", (PyCFunction)(void (*)(void))end_of_message, METH_FASTCALL,
     "end_of_message(data, at): where the frame of the message that was taken there ends."},
    {"make_frame", (PyCFunction)(void (*)(void))make_frame, METH_FASTCALL,
     "make_frame(message, longest): the message as one frame, or None: Python is to make it."},
    {"unmask", (PyCFunction)(void (*)(void))unmask, METH_FASTCALL,
     "unmask(payload, key): the payload without its mask, as bytes."},
    {NULL},
};
