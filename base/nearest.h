#ifndef NEAREST_H
#define NEAREST_H

/* The word that was meant when one is misspelt: offer every word there is, then ask.
 *
 *     struct nearest n = nearest_to("lmap");
 *     nearest_offer(&n, "lamp");
 *     n.word                           // "lamp"; NULL: none is near enough */

enum { NEAREST_WORD_MAX = 64 }; /* longer words are near nothing */

struct nearest {
    const char *wanted;
    const char *word; /* the best so far; as offered, not copied */
    unsigned distance;
};

struct nearest nearest_to(const char *wanted);
void nearest_offer(struct nearest *n, const char *word);

/* How many letters to insert, drop, change or swap with their neighbour. */
unsigned nearest_distance(const char *a, const char *b);

#endif
