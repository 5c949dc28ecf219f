#ifndef CLI_PASSPHRASE_H
#define CLI_PASSPHRASE_H

/* Passphrases of key files and PINs of tokens. Never an argument, and never the value of an
 * environment variable: both can be read by others (ps, /proc, crash reports) and are handed on to
 * every child. So it is the first line of a file that --passphrase-file names (a pipe and
 * /dev/fd/3 will do, "-" is stdin), or the variable SUREFOOT_PASSPHRASE_FILE, or it is typed at the
 * terminal. */

enum { PASSPHRASE_MAX = 1024, PASSPHRASE_MIN = 8 };

struct passphrase {
    char text[PASSPHRASE_MAX + 1];
};

enum passphrase_use {
    PASSPHRASE_OPEN, /* of something that is there */
    PASSPHRASE_NEW,  /* typed twice, at least PASSPHRASE_MIN bytes */
};

/* `what` for the question: "passphrase of 'release.pem'". `file` is --passphrase-file or NULL.
 * Returns enum cli_exit with a sentence; wipe it in every case. */
int passphrase_get(struct passphrase *out, enum passphrase_use use, const char *file,
                   const char *what) __attribute__((warn_unused_result));
void passphrase_wipe(struct passphrase *p);

/* The row of the option, for the tables of commands. */
#define PASSPHRASE_OPTION                                                                      \
    {                                                                                          \
        "passphrase-file", "FILE", "its first line opens the key, or is the token's PIN", 0, 0 \
    }

#endif
