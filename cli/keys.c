/* Key files of the command line. */

#include "cli/keys.h"

#include <errno.h>
#include <limits.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/key_hint.h"
#include "cli/cli.h"
#include "cli/file.h"

static int tell_load(int err, const char *path, enum key_wanted wanted)
{
    const char *kind = wanted == KEY_PRIVATE ? "private P-256 key" : "P-256 key";
    if (err == SF_OK) {
        return CLI_OK;
    }
    if (err == SF_ERR_NOTFOUND) {
        return cli_fail(CLI_LOCAL, "cannot read '%s': there is no such file", path);
    }
    if (err == SF_ERR_IO) {
        return cli_fail(CLI_LOCAL, "cannot read '%s': %s", path, strerrordesc_np(errno));
    }
    return cli_fail(CLI_REFUSED, "'%s' holds no %s in PEM: %s; `surefoot key new` makes one", path,
                    kind, key_hint(path, wanted));
}

int keys_load_any(struct p256_key *key, const char *path)
{
    int err = p256_key_load_private(key, path);
    if (err == SF_ERR_FORMAT) {
        p256_key_release(key);
        err = p256_key_load_public(key, path);
    }
    return tell_load(err, path, KEY_PUBLIC);
}

int keys_load_private(struct p256_key *key, const char *path)
{
    struct stat st;
    int err = p256_key_load_private(key, path);
    if (err == SF_OK && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0) {
        cli_note("surefoot: note: others can read the private key '%s'; chmod 600 keeps them out",
                 path);
    }
    return tell_load(err, path, KEY_PRIVATE);
}

int keys_from_hex(struct p256_key *key, const char *hex)
{
    int err = p256_key_from_hex(key, hex);
    if (err == SF_OK) {
        return CLI_OK;
    }
    return cli_fail(CLI_USAGE,
                    "'%.16s...' is no public key: wanted x || y of a P-256 key, 128 hex "
                    "digits, as `surefoot key show` prints them",
                    hex);
}

int keys_save_private(const struct p256_key *key, const char *path, int force)
{
    int err = p256_key_save_private(key, path);
    if (err == SF_ERR_NOTFOUND) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': its folder is not there", path);
    }
    if (err == SF_ERR_NOSPC) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': the disk is full", path);
    }
    if (err != SF_ERR_EXISTS || !force) {
        if (err == SF_ERR_EXISTS) {
            return cli_fail(CLI_LOCAL,
                            "'%s' is there already and is not overwritten; --force would, and "
                            "lose the key in it",
                            path);
        }
        return err == SF_OK ? CLI_OK
                            : cli_fail(CLI_LOCAL, "cannot write '%s': %s", path, sf_err_str(err));
    }
    /* The new key is on the disk before the old one goes. */
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': the path is too long", path);
    }
    err = p256_key_save_private(key, temporary);
    if (err != SF_OK || rename(temporary, path) != 0) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': %s is in the way or the folder is full",
                        path, temporary);
    }
    return CLI_OK;
}

int keys_print_public(const struct p256_key *key)
{
    if (PEM_write_PUBKEY(stdout, key->pkey) != 1) {
        return cli_fail(CLI_LOCAL, "cannot print the public key");
    }
    return CLI_OK;
}
