/* Misspelt words: optimal string alignment, and one word that the other begins with. */

#include "base/nearest.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Three rows of the usual table: swaps look back two. */
unsigned nearest_distance(const char *a, const char *b)
{
    unsigned row[3][NEAREST_WORD_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > NEAREST_WORD_MAX || b_len > NEAREST_WORD_MAX) {
        return a_len == b_len && strcmp(a, b) == 0 ? 0 : NEAREST_WORD_MAX + 1;
    }
    for (unsigned k = 0; k <= b_len; k++) {
        row[0][k] = k;
    }
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *now = row[i % 3];
        const unsigned *up = row[(i + 2) % 3];
        const unsigned *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned k = 1; k <= b_len; k++) {
            int same = a[i - 1] == b[k - 1];
            now[k] = least(least(up[k], now[k - 1]) + 1, up[k - 1] + !same);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]) {
                now[k] = least(now[k], up2[k - 2] + 1);
            }
        }
    }
    return row[a_len % 3][b_len];
}

struct nearest nearest_to(const char *wanted)
{
    /* A third of the letters may be wrong, at least one. */
    const unsigned allowed = (unsigned)(strlen(wanted) / 3);
    return (struct nearest){.wanted = wanted, .distance = (allowed ? allowed : 1) + 1};
}

void nearest_offer(struct nearest *n, const char *word)
{
    const size_t len = strlen(n->wanted);
    unsigned distance = nearest_distance(n->wanted, word);
    if (len >= 2 && strncmp(word, n->wanted, len) == 0) {
        distance = distance > 0; /* typed only to its half */
    }
    if (distance < n->distance) {
        n->word = word;
        n->distance = distance;
    }
}
