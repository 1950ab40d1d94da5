/* A table from bytes to what is known of them, by open addressing.
 *
 * Clients choose what is asked of it, and some of what is in it. So a search looks at PROBES slots at most, whatever
 * they choose: a name without a free slot among these is not kept. A table of MOST names is emptied, as caches.py
 * empties its dicts. */
#include "names.h"

#include <string.h>

#define SLOTS 2048 /* a power of two */
#define MOST 512
#define PROBES 8

static const uint64_t MULTIPLIER = 0x9E3779B97F4A7C15u; /* 2^64 / the golden ratio, odd */

static uint64_t mixed(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * MULTIPLIER;
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const unsigned char *text, size_t length, uint64_t seed) {
    uint64_t hash = seed ^ length * MULTIPLIER, word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        hash = mixed(hash, word);
    }
    word = 0;
    for (size_t i = 0; i < length; i++)
        word = word << 8 | text[i];
    hash = mixed(hash, word);
    return hash ^ hash >> 32;
}

static int is_it(const Name *name, uint64_t hash, const unsigned char *text, size_t length) {
    return name->hash == hash && name->text != NULL && (size_t)PyUnicode_GET_LENGTH(name->text) == length &&
           memcmp(PyUnicode_1BYTE_DATA(name->text), text, length) == 0;
}

int names_init(Names *names, uint64_t seed) {
    names->slots = PyMem_Calloc(SLOTS, sizeof(Name));
    names->used = 0;
    names->seed = seed;
    if (names->slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

void names_clear(Names *names) {
    names->used = 0;
    for (size_t i = 0; names->slots != NULL && i < SLOTS; i++) {
        Py_CLEAR(names->slots[i].text);
        Py_CLEAR(names->slots[i].key);
    }
}

void names_free(Names *names) {
    names_clear(names);
    PyMem_Free(names->slots);
    names->slots = NULL;
}

const Name *names_find(const Names *names, const unsigned char *text, size_t length) {
    uint64_t hash = hash_of(text, length, names->seed);
    for (size_t i = 0; i < PROBES; i++) {
        const Name *name = &names->slots[(hash + i) & (SLOTS - 1)];
        if (is_it(name, hash, text, length))
            return name;
        if (name->text == NULL)
            return NULL;
    }
    return NULL;
}

int names_add(Names *names, PyObject *text, PyObject *key, uint8_t kind) {
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        PyErr_SetString(PyExc_ValueError, "a name is latin-1");
        return -1;
    }
    if (PyUnicode_GET_LENGTH(text) > NAMES_LONGEST)
        return 0;
    if (names->used >= MOST)
        names_clear(names);
    const unsigned char *bytes = PyUnicode_1BYTE_DATA(text);
    size_t length = PyUnicode_GET_LENGTH(text);
    uint64_t hash = hash_of(bytes, length, names->seed);
    for (size_t i = 0; i < PROBES; i++) {
        Name *name = &names->slots[(hash + i) & (SLOTS - 1)];
        if (name->text != NULL && !is_it(name, hash, bytes, length))
            continue;
        names->used += name->text == NULL;
        name->hash = hash;
        name->kind = kind;
        Py_XSETREF(name->text, Py_NewRef(text));
        Py_XSETREF(name->key, Py_XNewRef(key));
        return 1;
    }
    return 0;
}
