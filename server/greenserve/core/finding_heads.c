/* The first pass over a head: its form (RFC 9112 §2.1, §3, §5), and whether each part of it is ordinary.
 *
 * It calls no Python and makes no object, so nothing changes while it runs. */
#include "ordinary_heads.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first byte that no field value has (RFC 9110 §5.5): a control but tab. DEL is left to Python. */
static const unsigned char *end_of_value(const unsigned char *at, const unsigned char *end) {
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1F), del = _mm_set1_epi8(0x7F);
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        int stops = _mm_movemask_epi8(_mm_or_si128(is_control, _mm_cmpeq_epi8(bytes, del)));
        if (stops == 0) {
            at += 16;
            continue;
        }
        at += __builtin_ctz(stops);
        if (*at != '\t')
            return at;
        at++;
    }
#endif
    while (at < end && (*at == '\t' || (*at >= 0x20 && *at != 0x7F)))
        at++;
    return at;
}

static int is_blank(unsigned char c) {
    return c == ' ' || c == '\t';
}

static int hex_of(unsigned char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `word` is in lower case. */
static int is_word(Slice value, const char *word) {
    size_t i = 0;
    for (; i < value.length && word[i]; i++)
        if ((value.text[i] | 0x20) != (unsigned char)word[i])
            return 0;
    return i == value.length && !word[i];
}

static int64_t length_of(Slice value) {
    int64_t length = 0;
    if (value.length == 0 || value.length > 18)
        return -1;
    for (size_t i = 0; i < value.length; i++) {
        if (value.text[i] < '0' || value.text[i] > '9')
            return -1;
        length = length * 10 + (value.text[i] - '0');
    }
    return length;
}

/* A target in origin-form (RFC 9112 §3.2.1); return what is behind it, or NULL. The bytes end with a NUL. */
static const unsigned char *read_target(OrdinaryHeads *self, const unsigned char *at, Found *found) {
    const unsigned char *begin = at;
    unsigned char *out = found->decoded;
    int has_escapes = 0;
    if (*at != '/')
        return NULL;
    for (;;) {
        while (self->classes[*at] & OF_PATH)
            at++;
        if (*at != '%')
            break;
        if (!has_escapes) {
            if (at - begin > LONGEST_ESCAPED)
                return NULL;
            memcpy(out, begin, at - begin);
            out += at - begin;
            has_escapes = 1;
        }
        do { /* escapes, and what stands behind each */
            int high = hex_of(at[1]), low = high < 0 ? -1 : hex_of(at[2]);
            if (low < 0 || (high == 0 && low == 0) || out >= found->decoded + LONGEST_ESCAPED)
                return NULL;
            *out++ = high << 4 | low;
            at += 3;
            while (self->classes[*at] & OF_PATH) {
                if (out >= found->decoded + LONGEST_ESCAPED)
                    return NULL;
                *out++ = *at++;
            }
        } while (*at == '%');
        break;
    }
    found->path = has_escapes ? (Slice){found->decoded, out - found->decoded} : (Slice){begin, at - begin};
    found->query = (Slice){at, 0};
    if (*at == '?') {
        const unsigned char *query = ++at;
        while (self->classes[*at] & OF_QUERY)
            at++;
        found->query = (Slice){query, at - query};
    }
    found->target = (Slice){begin, at - begin};
    return at;
}

/* One field without its line end; return 0 if it is not ordinary. */
static int take_field(OrdinaryHeads *self, Slice name, Slice value, Found *found) {
    const Name *known = names_find(&self->fields, name.text, name.length);
    if (known == NULL) {
        self->is_unknown = 1;
        return 0;
    }
    switch (known->kind) {
    case HOST: {
        const Name *host = names_find(&self->hosts, value.text, value.length);
        if (host == NULL) {
            self->is_unknown = 1;
            return 0;
        }
        found->host = host->text;
        break;
    }
    case LENGTH:
        found->content_length = length_of(value);
        if (found->content_length < 0)
            return 0;
        break;
    case CONNECTION:
        if (is_word(value, "close"))
            found->keep_alive = 0;
        else if (!is_word(value, "keep-alive"))
            return 0;
        break;
    }
    Field *field = &found->fields[found->count++];
    field->is_dropped = known->kind == DROPPED;
    found->dropped += field->is_dropped;
    field->key = field->is_dropped ? known->text : known->key;
    field->value = value;
    return 1;
}

int find_head(OrdinaryHeads *self, const unsigned char *data, size_t size, Found *found) {
    const unsigned char *at = data, *end = data + size;
    found->host = NULL;
    found->count = found->dropped = 0;
    found->content_length = -1;
    found->keep_alive = 1;
    self->is_unknown = 0;
    static const char version[] = " HTTP/1.1\r\n";
    const size_t longest_method = size < LONGEST_METHOD ? size : LONGEST_METHOD;
    const unsigned char *space = memchr(at, ' ', longest_method);
    const Name *method = space == NULL ? NULL : names_find(&self->methods, at, space - at);
    if (method == NULL)
        return 0;
    found->method = method->text;
    at = read_target(self, space + 1, found);
    if (at == NULL || (size_t)(end - at) < sizeof version - 1 || memcmp(at, version, sizeof version - 1) != 0)
        return 0;
    at += sizeof version - 1;
    while (*at != '\r') {
        const size_t left = end - at, longest = left < NAMES_LONGEST + 1 ? left : NAMES_LONGEST + 1;
        const unsigned char *name = at, *colon = memchr(at, ':', longest);
        if (colon == NULL || found->count == self->most_fields)
            return 0;
        for (at = colon + 1; is_blank(*at); at++)
            ;
        const unsigned char *value = at, *behind;
        at = end_of_value(at, end);
        if (at[0] != '\r' || at[1] != '\n')
            return 0;
        for (behind = at; behind > value && is_blank(behind[-1]); behind--)
            ;
        if (!take_field(self, (Slice){name, colon - name}, (Slice){value, behind - value}, found))
            return 0;
        at += 2;
    }
    found->end = at + 2;
    return at[1] == '\n' && found->host != NULL && found->end - data <= self->longest;
}
