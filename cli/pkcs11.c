/* Keys in PKCS#11 tokens, over p11-kit. OpenSSL's own way to them, an engine, is deprecated in
 * OpenSSL 3; its successor, pkcs11-provider, is not in Debian 12. What we need of PKCS#11 is small:
 * find, log in, sign a digest. CKM_ECDSA gives r || s as COSE has it.
 *
 * Invariants
 *  1. A signature leaves here only after it has verified by the public key that the caller sees.
 *  2. A PIN is tried once: tokens lock after a few wrong ones. */

#include "cli/pkcs11.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "cli/cli.h"
#include "cli/passphrase.h"

enum {
    SLOTS_MAX = 64,
    LABEL_MAX = 33, /* CK_TOKEN_INFO's 32, and a NUL */
    ID_SIZE = 8,
    TEMPLATE_MAX = 12,
};

/* P-256 as the DER of its OID, and a point as an OCTET STRING of 04 || x || y. */
static const uint8_t p256_params[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t point_head[] = {0x04, 0x41, 0x04};

struct pkcs11_key {
    P11KitUri *uri;
    CK_FUNCTION_LIST **modules; /* of the configuration; NULL with module-path */
    CK_FUNCTION_LIST *own;      /* of module-path */
    CK_FUNCTION_LIST *module;   /* the one that has the token; one of those */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE private_key;
    CK_FLAGS token_flags;
    int has_session;
    char token[LABEL_MAX];
    struct sf_public_key public_key;
};

int pkcs11_is_uri(const char *name)
{
    return strncmp(name, "pkcs11:", 7) == 0;
}

/* ---- templates ---- */

struct template
{
    CK_ATTRIBUTE list[TEMPLATE_MAX];
    CK_ULONG count;
};

/* PKCS#11 wants what it only reads without const. */
static void put(struct template *t, CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
    union {
        const void *in;
        void *out;
    } u = {value};
    t->list[t->count++] = (CK_ATTRIBUTE){type, u.out, len};
}

/* An object of this class with the label and id that the URI names. */
static struct template object_of(const struct pkcs11_key *k, const CK_OBJECT_CLASS *class)
{
    static const CK_ATTRIBUTE_TYPE named[] = {CKA_LABEL, CKA_ID};
    struct template t = {.count = 0};
    put(&t, CKA_CLASS, class, sizeof *class);
    for (unsigned i = 0; i < sizeof named / sizeof named[0]; i++) {
        const CK_ATTRIBUTE *a = p11_kit_uri_get_attribute(k->uri, named[i]);
        if (a) {
            t.list[t.count++] = *a;
        }
    }
    return t;
}

/* ---- the URI, the module, the token ---- */

static int parse(struct pkcs11_key *k, const char *uri)
{
    k->uri = p11_kit_uri_new();
    const int err = k->uri ? p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, k->uri) : 0;
    if (!k->uri || err != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(k->uri)) {
        return cli_fail(CLI_USAGE,
                        "this is no usable PKCS#11 URI%s%s; it looks like "
                        "pkcs11:token=NAME;object=KEY, with ?module-path=FILE where p11-kit does "
                        "not know the token",
                        err ? ": " : "", err ? p11_kit_uri_message(err) : "");
    }
    if (p11_kit_uri_get_pin_value(k->uri)) {
        return cli_fail(CLI_USAGE, "the URI carries the PIN (pin-value), where others can read it: "
                                   "leave that out, and change the PIN; --passphrase-file or "
                                   "pin-source=file:... name a file with it");
    }
    if (!p11_kit_uri_get_attribute(k->uri, CKA_LABEL) &&
        !p11_kit_uri_get_attribute(k->uri, CKA_ID)) {
        return cli_fail(CLI_USAGE, "the URI names no key: add object=NAME or id=%%01");
    }
    return CLI_OK;
}

static int load_modules(struct pkcs11_key *k)
{
    const char *path = p11_kit_uri_get_module_path(k->uri);
    p11_kit_be_quiet();
    if (!path) {
        k->modules = p11_kit_modules_load_and_initialize(0);
        return k->modules ? CLI_OK
                          : cli_fail(CLI_LOCAL, "cannot load the PKCS#11 modules of p11-kit");
    }
    k->own = p11_kit_module_load(path, 0);
    if (k->own && p11_kit_module_initialize(k->own) != CKR_OK) {
        p11_kit_module_release(k->own);
        k->own = NULL;
    }
    return k->own ? CLI_OK
                  : cli_fail(CLI_LOCAL, "cannot load the PKCS#11 module '%s': %s", path,
                             "it is not there, is no such module, or does not start");
}

/* Counts the tokens of a module that the URI fits, and keeps the last. */
static unsigned match_module(struct pkcs11_key *k, CK_FUNCTION_LIST *module)
{
    CK_SLOT_ID slot[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_INFO info;
    CK_TOKEN_INFO token;
    unsigned found = 0;
    if (module->C_GetInfo(&info) != CKR_OK || !p11_kit_uri_match_module_info(k->uri, &info) ||
        module->C_GetSlotList(CK_TRUE, slot, &count) != CKR_OK) {
        return 0;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        if (module->C_GetTokenInfo(slot[i], &token) == CKR_OK &&
            (token.flags & CKF_TOKEN_INITIALIZED) &&
            p11_kit_uri_match_token_info(k->uri, &token) == 1) {
            found++;
            k->module = module;
            k->slot = slot[i];
            k->token_flags = token.flags;
            snprintf(k->token, sizeof k->token, "%.*s",
                     (int)p11_kit_space_strlen(token.label, sizeof token.label), token.label);
        }
    }
    return found;
}

static int find_token(struct pkcs11_key *k)
{
    unsigned found = k->own ? match_module(k, k->own) : 0;
    for (CK_FUNCTION_LIST **m = k->modules; m && *m; m++) {
        found += match_module(k, *m);
    }
    if (found == 1) {
        return CLI_OK;
    }
    if (found == 0) {
        return cli_fail(CLI_LOCAL, "no PKCS#11 token fits the URI: is it plugged in, and its "
                                   "token= or serial= right? `p11tool --list-tokens` or "
                                   "`softhsm2-util --show-slots` list what is there");
    }
    return cli_fail(CLI_USAGE, "%u PKCS#11 tokens fit the URI: add token=NAME or serial=NUMBER",
                    found);
}

/* ---- session ---- */

static int open_session(struct pkcs11_key *k, CK_FLAGS more)
{
    assert(k->module); /* find_token() failed otherwise */
    const CK_RV rv =
        k->module->C_OpenSession(k->slot, CKF_SERIAL_SESSION | more, NULL, NULL, &k->session);
    k->has_session = rv == CKR_OK;
    return rv == CKR_OK
               ? CLI_OK
               : cli_fail(CLI_LOCAL, "cannot open token '%s': %s", k->token, p11_kit_strerror(rv));
}

static int tell_login(const struct pkcs11_key *k, CK_RV rv)
{
    CK_TOKEN_INFO info = {.flags = 0};
    if (rv == CKR_PIN_LOCKED) {
        return cli_fail(CLI_REFUSED,
                        "the PIN of token '%s' is locked after too many wrong ones; its security "
                        "officer's PIN sets a new one",
                        k->token);
    }
    if (rv != CKR_PIN_INCORRECT && rv != CKR_PIN_LEN_RANGE && rv != CKR_PIN_INVALID) {
        return cli_fail(CLI_LOCAL, "cannot log in to token '%s': %s", k->token,
                        p11_kit_strerror(rv));
    }
    const int last = k->module->C_GetTokenInfo(k->slot, &info) == CKR_OK &&
                     (info.flags & CKF_USER_PIN_FINAL_TRY) != 0;
    return cli_fail(CLI_REFUSED, "this is not the PIN of token '%s'; %s", k->token,
                    last ? "one more wrong one locks it"
                         : "look it up before you try again, for a token locks after a few");
}

static int log_in(struct pkcs11_key *k, const char *passphrase_file)
{
    struct passphrase pin = {{0}};
    char what[LABEL_MAX + 24];
    const char *source = p11_kit_uri_get_pin_source(k->uri);
    int status = CLI_OK;
    if (!(k->token_flags & CKF_LOGIN_REQUIRED)) {
        return CLI_OK;
    }
    if (source) {
        passphrase_file = strncmp(source, "file:", 5) == 0 ? source + 5 : source;
    }
    const int typed_there = (k->token_flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
    snprintf(what, sizeof what, "PIN of token '%s'", k->token);
    if (!typed_there) { /* else the reader has keys of its own */
        status = passphrase_get(&pin, PASSPHRASE_OPEN, passphrase_file, what);
    }
    if (status == CLI_OK) {
        const CK_RV rv = k->module->C_Login(
            k->session, CKU_USER, typed_there ? NULL : (CK_UTF8CHAR_PTR)pin.text, strlen(pin.text));
        status = rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN ? CLI_OK : tell_login(k, rv);
    }
    passphrase_wipe(&pin);
    return status;
}

/* ---- objects ---- */

/* Returns how many there are, 2 for more. */
static unsigned find(const struct pkcs11_key *k, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    struct template t = object_of(k, &class);
    if (k->module->C_FindObjectsInit(k->session, t.list, t.count) != CKR_OK) {
        return 0;
    }
    const CK_RV rv = k->module->C_FindObjects(k->session, found, 2, &count);
    (void)k->module->C_FindObjectsFinal(k->session);
    if (rv != CKR_OK || count == 0) {
        return 0;
    }
    *out = found[0];
    return (unsigned)count;
}

/* Of a public key, or of a private one where the token keeps the point with it too. */
static int read_point(struct pkcs11_key *k, CK_OBJECT_HANDLE object)
{
    uint8_t params[sizeof p256_params];
    uint8_t point[sizeof point_head + SF_P256_KEY_SIZE];
    CK_ATTRIBUTE list[] = {{CKA_EC_PARAMS, params, sizeof params},
                           {CKA_EC_POINT, point, sizeof point}};
    if (k->module->C_GetAttributeValue(k->session, object, list, 2) != CKR_OK ||
        list[0].ulValueLen != sizeof params || memcmp(params, p256_params, sizeof params) != 0 ||
        list[1].ulValueLen != sizeof point || memcmp(point, point_head, sizeof point_head) != 0) {
        return SF_ERR_FORMAT;
    }
    return sf_public_key_init(&k->public_key, crypto_openssl(), point + sizeof point_head);
}

static int load_public(struct pkcs11_key *k, const struct sf_public_key *wanted)
{
    CK_OBJECT_HANDLE object = 0;
    const unsigned found = find(k, CKO_PUBLIC_KEY, &object);
    if (found == 0 && wanted) {
        k->public_key = *wanted; /* each signature is verified by it */
        return CLI_OK;
    }
    if (found != 1) {
        return cli_fail(CLI_REFUSED, "token '%s' has %s public key that fits the URI%s", k->token,
                        found ? "more than one" : "no",
                        found ? ": add id= to it" : "; are object= and id= right?");
    }
    if (read_point(k, object) != SF_OK) {
        return cli_fail(CLI_REFUSED, "the key in token '%s' is no P-256 key", k->token);
    }
    if (wanted && CRYPTO_memcmp(wanted->xy, k->public_key.xy, SF_P256_KEY_SIZE) != 0) {
        return cli_fail(CLI_REFUSED,
                        "the key in token '%s' is another one than the key file says: this is not "
                        "the token that the file was made with",
                        k->token);
    }
    return CLI_OK;
}

static int load_private(struct pkcs11_key *k)
{
    const unsigned found = find(k, CKO_PRIVATE_KEY, &k->private_key);
    if (found == 1) {
        return CLI_OK;
    }
    return cli_fail(CLI_REFUSED, "token '%s' has %s private key that fits the URI%s", k->token,
                    found ? "more than one" : "no",
                    found
                        ? ": add id= to it"
                        : "; are object= and id= right? `surefoot key new --token URI` makes one");
}

/* ---- public functions ---- */

static int start(struct pkcs11_key *k, const char *uri, CK_FLAGS more)
{
    int status = parse(k, uri);
    status = status == CLI_OK ? load_modules(k) : status;
    status = status == CLI_OK ? find_token(k) : status;
    return status == CLI_OK ? open_session(k, more) : status;
}

/* Hands out `k`, or closes it after a failure. */
static int finish(struct pkcs11_key *k, int status, struct pkcs11_key **out)
{
    if (status != CLI_OK) {
        pkcs11_close(k);
        k = NULL;
    }
    *out = k;
    return status;
}

int pkcs11_open(const struct pkcs11_request *r, struct pkcs11_key **out)
{
    struct pkcs11_key *k = calloc(1, sizeof *k);
    *out = NULL;
    if (!k) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    int status = start(k, r->uri, 0);
    status = status == CLI_OK ? log_in(k, r->passphrase_file) : status;
    status = status == CLI_OK ? load_private(k) : status;
    status = status == CLI_OK ? load_public(k, r->public_key) : status;
    return finish(k, status, out);
}

int pkcs11_read_public(const char *uri, struct sf_public_key *out)
{
    struct pkcs11_key *k = calloc(1, sizeof *k);
    if (!k) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    int status = start(k, uri, 0);
    status = status == CLI_OK ? load_public(k, NULL) : status;
    *out = k->public_key;
    pkcs11_close(k);
    return status;
}

static int make_pair(struct pkcs11_key *k)
{
    static const CK_BBOOL yes = CK_TRUE;
    static const CK_BBOOL no = CK_FALSE;
    uint8_t id[ID_SIZE];
    CK_MECHANISM how = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE public_key = 0;
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(k->uri, CKA_LABEL);
    struct template pub = {.count = 0};
    struct template priv = {.count = 0};
    if (!label) {
        return cli_fail(CLI_USAGE, "the URI gives the new key no name: add object=NAME");
    }
    if (crypto_openssl()->random(NULL, id, sizeof id) != SF_OK) {
        return cli_fail(CLI_LOCAL, "cannot make a key: the cryptography library failed");
    }
    put(&pub, CKA_TOKEN, &yes, sizeof yes);
    put(&pub, CKA_VERIFY, &yes, sizeof yes);
    put(&pub, CKA_EC_PARAMS, p256_params, sizeof p256_params);
    put(&pub, CKA_ID, id, sizeof id);
    pub.list[pub.count++] = *label;
    put(&priv, CKA_TOKEN, &yes, sizeof yes);
    put(&priv, CKA_PRIVATE, &yes, sizeof yes);
    put(&priv, CKA_SENSITIVE, &yes, sizeof yes);
    put(&priv, CKA_EXTRACTABLE, &no, sizeof no);
    put(&priv, CKA_SIGN, &yes, sizeof yes);
    put(&priv, CKA_ID, id, sizeof id);
    priv.list[priv.count++] = *label;
    const CK_RV rv = k->module->C_GenerateKeyPair(k->session, &how, pub.list, pub.count, priv.list,
                                                  priv.count, &public_key, &k->private_key);
    if (rv != CKR_OK) {
        return cli_fail(CLI_LOCAL, "token '%s' makes no P-256 key: %s", k->token,
                        p11_kit_strerror(rv));
    }
    return read_point(k, public_key) == SF_OK
               ? CLI_OK
               : cli_fail(CLI_LOCAL, "token '%s' made a key that is not P-256", k->token);
}

static int check_free(const struct pkcs11_key *k)
{
    CK_OBJECT_HANDLE object = 0;
    if (find(k, CKO_PRIVATE_KEY, &object) == 0) {
        return CLI_OK;
    }
    return cli_fail(CLI_REFUSED,
                    "token '%s' has a key of that name already, and it is not overwritten; "
                    "`surefoot key show URI` shows it",
                    k->token);
}

int pkcs11_generate(const struct pkcs11_request *r, struct pkcs11_key **out)
{
    struct pkcs11_key *k = calloc(1, sizeof *k);
    *out = NULL;
    if (!k) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    int status = start(k, r->uri, CKF_RW_SESSION);
    status = status == CLI_OK ? log_in(k, r->passphrase_file) : status;
    status = status == CLI_OK ? check_free(k) : status;
    status = status == CLI_OK ? make_pair(k) : status;
    return finish(k, status, out);
}

void pkcs11_close(struct pkcs11_key *k)
{
    if (!k) {
        return;
    }
    if (k->has_session) {
        (void)k->module->C_CloseSession(k->session); /* the last one logs out */
    }
    if (k->own) {
        (void)p11_kit_module_finalize(k->own);
        p11_kit_module_release(k->own);
    }
    if (k->modules) {
        p11_kit_modules_finalize_and_release(k->modules);
    }
    p11_kit_uri_free(k->uri);
    free(k);
}

const struct sf_public_key *pkcs11_public_key(const struct pkcs11_key *key)
{
    return &key->public_key;
}

static int sign(void *ctx, const uint8_t digest[SF_SHA256_SIZE],
                uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    struct pkcs11_key *k = ctx;
    CK_MECHANISM how = {CKM_ECDSA, NULL, 0};
    CK_ULONG len = SF_P256_SIGNATURE_SIZE;
    uint8_t data[SF_SHA256_SIZE];
    memcpy(data, digest, sizeof data);
    if (k->module->C_SignInit(k->session, &how, k->private_key) != CKR_OK ||
        k->module->C_Sign(k->session, data, sizeof data, signature, &len) != CKR_OK ||
        len != SF_P256_SIGNATURE_SIZE) {
        return SF_ERR_CRYPTO;
    }
    return crypto_openssl()->verify_p256(NULL, k->public_key.xy, digest, signature);
}

struct sf_signer pkcs11_signer(struct pkcs11_key *key)
{
    struct sf_signer out = {.ctx = key, .sign = sign};
    memcpy(out.kid, key->public_key.kid, SF_KID_SIZE);
    return out;
}
