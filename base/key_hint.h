#ifndef KEY_HINT_H
#define KEY_HINT_H

/* Why a file that was read holds no P-256 key, for people: what its PEM says that it is. A static
 * text like "it is encrypted; ...". */

enum key_wanted { KEY_PUBLIC, KEY_PRIVATE };

const char *key_hint(const char *path, enum key_wanted wanted);

#endif
