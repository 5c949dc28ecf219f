/* The lines above the PEM of a key file. */
#include "base/key_head.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "formats/err.h"

static const char *const names[] = {
    [KEY_ROLE_ROOT] = "root",   [KEY_ROLE_RELEASE] = "release", [KEY_ROLE_STATUS] = "status",
    [KEY_ROLE_DELTA] = "delta", [KEY_ROLE_NONE] = "none",
};

const char *key_role_name(enum key_role role)
{
    return names[role];
}

int key_role_parse(const char *name, enum key_role *out)
{
    for (unsigned i = 0; i < KEY_ROLE_NONE; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum key_role)i;
            return SF_OK;
        }
    }
    return SF_ERR_RANGE;
}

/* The value of a line "word   value" without its end, or NULL. */
static const char *value_of(const char *line, size_t len, const char *word, size_t *value_len)
{
    const size_t word_len = strlen(word);
    if (len <= word_len || memcmp(line, word, word_len) != 0 || line[word_len] != ' ') {
        return NULL;
    }
    size_t at = word_len;
    while (at < len && line[at] == ' ') {
        at++;
    }
    while (len > at && (line[len - 1] == '\r' || line[len - 1] == ' ')) {
        len--;
    }
    *value_len = len - at;
    return line + at;
}

static void take_role(const char *value, size_t len, struct key_head *out)
{
    char word[16];
    enum key_role role = KEY_ROLE_NONE;
    (void)snprintf(word, sizeof(word), "%.*s", len < sizeof(word) ? (int)len : 0, value);
    if (key_role_parse(word, &role) != SF_OK || (out->role != KEY_ROLE_NONE && out->role != role)) {
        out->is_unknown = 1;
    }
    out->role = role;
}

static void take_line(const char *line, size_t len, struct key_head *out)
{
    size_t value_len = 0;
    const char *value = value_of(line, len, "role", &value_len);
    if (value != NULL) {
        take_role(value, value_len, out);
    }
    value = value_of(line, len, "token", &value_len);
    if (value != NULL && value_len <= KEY_TOKEN_MAX) {
        memcpy(out->token, value, value_len);
        out->token[value_len] = '\0';
    }
}

void key_head_decode(const char *text, size_t len, struct key_head *out)
{
    static const char begin[] = "-----BEGIN";
    *out = (struct key_head){.role = KEY_ROLE_NONE};
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        const size_t line = end != NULL ? (size_t)(end - text) : len;
        if (line >= sizeof(begin) - 1 && memcmp(text, begin, sizeof(begin) - 1) == 0) {
            break;
        }
        take_line(text, line, out);
        len -= end != NULL ? line + 1 : line;
        text += end != NULL ? line + 1 : line;
    }
}

int key_head_read(const char *path, struct key_head *out)
{
    char text[KEY_HEAD_READ_MAX];
    size_t have = 0;
    ssize_t n = 0;
    *out = (struct key_head){.role = KEY_ROLE_NONE};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? SF_ERR_NOTFOUND : SF_ERR_IO;
    }
    while (have < sizeof(text) && (n = read(fd, text + have, sizeof(text) - have)) > 0) {
        have += (size_t)n;
    }
    const int why = errno;
    close(fd);
    errno = why;
    if (n >= 0) {
        key_head_decode(text, have, out);
    }
    explicit_bzero(text, sizeof(text)); /* the private key may begin in it */
    return n < 0 ? SF_ERR_IO : SF_OK;
}

int key_head_encode(enum key_role role, const struct sf_public_key *key, const char *token,
                    char out[KEY_HEAD_MAX])
{
    char kid[2 * SF_KID_SIZE + 1];
    char xy[2 * SF_P256_KEY_SIZE + 1];
    hex_encode(key->kid, SF_KID_SIZE, kid);
    hex_encode(key->xy, SF_P256_KEY_SIZE, xy);
    const int n =
        snprintf(out, KEY_HEAD_MAX, "%s%s%skid         %s\npublic key  %s\n%s%s%s",
                 role != KEY_ROLE_NONE ? "role        " : "",
                 role != KEY_ROLE_NONE ? key_role_name(role) : "",
                 role != KEY_ROLE_NONE ? "\n" : "", kid, xy, token != NULL ? "token       " : "",
                 token != NULL ? token : "", token != NULL ? "\n" : "");
    return n > 0 && n < KEY_HEAD_MAX ? n : SF_ERR_NOSPC;
}
