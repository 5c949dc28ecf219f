/* Keys of the command line. */

#include "cli/keys.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/key_hint.h"
#include "cli/cli.h"
#include "cli/file.h"
#include "cli/passphrase.h"

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
    if (err == SF_ERR_SIGNATURE) {
        return cli_fail(CLI_REFUSED,
                        "this is not the passphrase of '%s'; a copy of the key with a "
                        "known passphrase, or a new key, is the only way on",
                        path);
    }
    if (err == SF_ERR_CORRUPT) {
        return cli_fail(CLI_REFUSED,
                        "the two halves of the key in '%s' do not belong together: "
                        "it was changed; take your copy of it",
                        path);
    }
    return cli_fail(CLI_REFUSED, "'%s' holds no %s in PEM: %s; `surefoot key new` makes one", path,
                    kind, key_hint(path, wanted));
}

static int tell_role(const char *name, const struct key_head *head, enum key_role wanted)
{
    if (head->is_unknown) {
        return cli_fail(CLI_REFUSED,
                        "'%s' is for a role that this version does not know; its "
                        "first lines say which",
                        name);
    }
    if (wanted == KEY_ROLE_NONE || head->role == KEY_ROLE_NONE || head->role == wanted) {
        return CLI_OK;
    }
    return cli_fail(CLI_REFUSED,
                    "'%s' is a %s key, and a %s key belongs here; `surefoot key new "
                    "--role %s FILE` makes one",
                    name, key_role_name(head->role), key_role_name(wanted), key_role_name(wanted));
}

static int read_head(const char *path, enum key_role role, struct key_head *head)
{
    const int status = tell_load(key_head_read(path, head), path, KEY_PUBLIC);
    return status == CLI_OK ? tell_role(path, head, role) : status;
}

/* ---- public halves ---- */

static int from_token(struct p256_key *key, const char *uri)
{
    struct sf_public_key public_key;
    const int status = pkcs11_read_public(uri, &public_key);
    if (status != CLI_OK) {
        return status;
    }
    *key = (struct p256_key){.pkey = p256_point_to_pkey(public_key.xy), .public_key = public_key};
    return key->pkey ? CLI_OK
                     : cli_fail(CLI_REFUSED, "the key in the token is no point of the curve");
}

int keys_load_public(struct p256_key *key, const char *name, enum key_role role,
                     struct key_head *head)
{
    struct key_head unwanted = {.role = KEY_ROLE_NONE};
    head = head ? head : &unwanted;
    *head = (struct key_head){.role = KEY_ROLE_NONE};
    *key = (struct p256_key){0};
    if (pkcs11_is_uri(name)) {
        snprintf(head->token, sizeof head->token, "%s", name);
        return from_token(key, name);
    }
    const int status = read_head(name, role, head);
    if (status != CLI_OK) {
        return status;
    }
    int err = p256_key_load_private(key, name);
    if (err == SF_ERR_FORMAT) {
        p256_key_release(key);
        err = p256_key_load_public(key, name);
    }
    return tell_load(err, name, KEY_PUBLIC);
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

/* ---- signing ---- */

static int load_locked(struct p256_key *key, const struct key_request *r)
{
    struct passphrase pass;
    char what[256];
    snprintf(what, sizeof what, "passphrase of '%.200s'", r->name);
    int status = passphrase_get(&pass, PASSPHRASE_OPEN, r->passphrase_file, what);
    if (status == CLI_OK) {
        status = tell_load(p256_key_load_encrypted(key, r->name, pass.text), r->name, KEY_PRIVATE);
    }
    passphrase_wipe(&pass);
    return status;
}

static int open_file(struct signing_key *out, const struct key_request *r)
{
    struct stat st;
    struct p256_key key = {0};
    int status = CLI_OK;
    if (p256_file_is_encrypted(r->name)) {
        status = load_locked(&key, r);
    } else {
        status = tell_load(p256_key_load_private(&key, r->name), r->name, KEY_PRIVATE);
    }
    if (status == CLI_OK && stat(r->name, &st) == 0 && S_ISREG(st.st_mode) &&
        (st.st_mode & 077) != 0) {
        cli_note("surefoot: note: others can read the private key '%s'; chmod 600 keeps them out",
                 r->name);
    }
    if (status == CLI_OK && p256_signer_init(&out->signer, &key) != SF_OK) {
        status =
            cli_fail(CLI_LOCAL, "cannot sign with '%s': the cryptography library failed", r->name);
    }
    out->public_key = key.public_key;
    p256_key_release(&key);
    return status;
}

static int open_token(struct signing_key *out, const struct pkcs11_request *r)
{
    const int status = pkcs11_open(r, &out->token);
    if (status == CLI_OK) {
        out->public_key = *pkcs11_public_key(out->token);
    }
    return status;
}

int keys_open(struct signing_key *out, const struct key_request *r)
{
    struct key_head head;
    struct p256_key key = {0};
    *out = (struct signing_key){.token = NULL};
    if (pkcs11_is_uri(r->name)) {
        const struct pkcs11_request in = {r->name, r->passphrase_file, NULL};
        return open_token(out, &in);
    }
    int status = read_head(r->name, r->role, &head);
    if (status != CLI_OK || !head.token[0]) {
        return status == CLI_OK ? open_file(out, r) : status;
    }
    status = keys_load_public(&key, r->name, r->role, NULL);
    if (status == CLI_OK) {
        const struct pkcs11_request in = {head.token, r->passphrase_file, &key.public_key};
        status = open_token(out, &in);
    }
    p256_key_release(&key);
    return status;
}

void keys_close(struct signing_key *key)
{
    p256_signer_release(&key->signer);
    pkcs11_close(key->token);
    *key = (struct signing_key){.token = NULL};
}

struct sf_signer keys_signer(struct signing_key *key)
{
    return key->token ? pkcs11_signer(key->token) : p256_signer_as_sf(&key->signer);
}

/* ---- files ---- */

int keys_check_place(const char *path, int force)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) {
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    }
    if (access(folder, F_OK) != 0) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': its folder is not there", path);
    }
    if (!force && access(path, F_OK) == 0) {
        return cli_fail(CLI_LOCAL,
                        "'%s' is there already and is not overwritten; --force would, and "
                        "lose the key in it",
                        path);
    }
    return CLI_OK;
}

int keys_save(const char *path, const char *text, size_t len, unsigned mode, int force)
{
    const int status = keys_check_place(path, force);
    return status == CLI_OK
               ? file_write(path, text, len, mode, force ? FILE_REPLACE : FILE_NEW_ONLY)
               : status;
}

int keys_public_text(const struct p256_key *key, const struct key_head *head, struct p256_text *out)
{
    char lines[KEY_HEAD_MAX];
    char *text = NULL;
    BIO *to = BIO_new(BIO_s_mem());
    *out = (struct p256_text){0};
    const int n =
        key_head_encode(head->role, &key->public_key, head->token[0] ? head->token : NULL, lines);
    if (to && n > 0 && BIO_write(to, lines, n) == n && PEM_write_bio_PUBKEY(to, key->pkey) == 1) {
        const long len = BIO_get_mem_data(to, &text);
        out->text = OPENSSL_memdup(text, (size_t)len);
        out->len = out->text ? (size_t)len : 0;
    }
    BIO_free(to);
    return out->text ? CLI_OK : cli_fail(CLI_LOCAL, "cannot write the public key: out of memory");
}
