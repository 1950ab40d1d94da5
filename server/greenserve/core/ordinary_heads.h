/* The tables of what is ordinary, and what a first pass over a head finds. */
#ifndef GREENSERVE_ORDINARY_HEADS_H
#define GREENSERVE_ORDINARY_HEADS_H

#include "core.h"
#include "names.h"

#define MOST_FIELDS 128
#define LONGEST_ESCAPED 1024 /* bytes of a path with escapes */
#define LONGEST_METHOD 32

enum { OF_PATH = 1, OF_QUERY = 2 };                           /* the classes of a character of the target */
enum { PLAIN, HOST, LENGTH, CONNECTION, DROPPED, KINDS };     /* what a field means; wsgi/environ/ordinary.py has the same */

typedef struct {
    PyObject_HEAD
    CoreState *state;
    PyObject *module; /* keeps the state alive */
    PyObject *fields_of;
    Names methods, fields, hosts;
    Py_ssize_t longest; /* bytes of a head */
    Py_ssize_t most_fields;
    Py_ssize_t received;   /* bytes of the last receive() */
    char is_unknown; /* the last head was left to Python for a name or host that it may learn */
    unsigned char classes[256];
} OrdinaryHeads;

typedef struct {
    const unsigned char *text;
    size_t length;
} Slice;

typedef struct {
    PyObject *key; /* of environ, or the name of a field without one */
    Slice value;
    char is_dropped;
} Field;

/* What the first pass has found. */
typedef struct {
    PyObject *method, *host;
    Slice target, path, query;
    Field fields[MOST_FIELDS];
    Py_ssize_t count, dropped;
    const unsigned char *end; /* behind the head */
    int64_t content_length;   /* -1: none */
    char keep_alive;
    unsigned char decoded[LONGEST_ESCAPED]; /* the path, if it has escapes */
} Found;

/* Look at the head at the beginning of the data, which end with a NUL. Return 0 if it is not ordinary, or not all
   there. Makes no object. */
int find_head(OrdinaryHeads *self, const unsigned char *data, size_t size, Found *found);

#endif
