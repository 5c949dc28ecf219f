/* COSE_Sign1 with ESP256 (RFC 9052 section 4.2, RFC 9864).
 *
 * Invariants
 *  1. The algorithm that counts is the key's: the message's must name the same, else ALGORITHM.
 *  2. Everything in a COSE_Sign1 is covered: the protected header and the payload by the signature,
 *     the unprotected header by having to be empty. */
#include "formats/cose.h"

#include <string.h>

enum { LABEL_ALG = 1, LABEL_CONTENT_TYPE = 3, LABEL_KID = 4 };
enum { KEY_KTY = 1, KEY_KTY_EC2 = 2, KEY_CRV = -1, KEY_CRV_P256 = 1, KEY_X = -2, KEY_Y = -3 };

void sf_cose_key_write(struct sf_cbor_writer *w, const uint8_t xy[SF_P256_KEY_SIZE])
{
    sf_cbor_write_map(w, 4);
    sf_cbor_write_int(w, KEY_KTY);
    sf_cbor_write_int(w, KEY_KTY_EC2);
    sf_cbor_write_int(w, KEY_CRV);
    sf_cbor_write_int(w, KEY_CRV_P256);
    sf_cbor_write_int(w, KEY_X);
    sf_cbor_write_bytes(w, xy, 32);
    sf_cbor_write_int(w, KEY_Y);
    sf_cbor_write_bytes(w, xy + 32, 32);
}

static void expect(struct sf_cbor_reader *r, int64_t value)
{
    if (sf_cbor_read_int(r) != value) {
        sf_cbor_fail(r, SF_ERR_ALGORITHM, "not the COSE_Key of a P-256 public key");
    }
}

void sf_cose_key_read(struct sf_cbor_reader *r, uint8_t xy[SF_P256_KEY_SIZE])
{
    if (sf_cbor_read_map(r) != 4) {
        sf_cbor_fail(r, SF_ERR_ALGORITHM, "a COSE_Key has other members than kty, crv, x and y");
    }
    expect(r, KEY_KTY);
    expect(r, KEY_KTY_EC2);
    expect(r, KEY_CRV);
    expect(r, KEY_CRV_P256);
    expect(r, KEY_X);
    sf_cbor_read_fixed(r, xy, 32);
    expect(r, KEY_Y);
    sf_cbor_read_fixed(r, xy + 32, 32);
}

/* RFC 9679: SHA-256 over the deterministic encoding of the key's required members alone. */
int sf_public_key_init(struct sf_public_key *key, const struct sf_crypto *crypto,
                       const uint8_t xy[SF_P256_KEY_SIZE])
{
    uint8_t cose_key[SF_COSE_KEY_SIZE];
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, cose_key, sizeof(cose_key));
    sf_cose_key_write(&w, xy);
    const int32_t len = sf_cbor_write_end(&w);
    if (len < 0) {
        return len;
    }
    uint8_t thumbprint[SF_SHA256_SIZE];
    const int err = sf_sha256(crypto, cose_key, (size_t)len, thumbprint);
    if (err < 0) {
        return err;
    }
    memcpy(key->xy, xy, SF_P256_KEY_SIZE);
    memcpy(key->kid, thumbprint, SF_KID_SIZE);
    return SF_OK;
}

static void decode_protected(struct sf_cbor_reader *r, struct sf_cose_sign1 *out)
{
    struct sf_cbor_map m = sf_cbor_map_begin(r);
    int64_t label;
    int has_algorithm = 0;
    while (sf_cbor_map_next(&m, &label)) {
        switch (label) {
        case LABEL_ALG:
            out->algorithm = sf_cbor_read_int(r);
            has_algorithm = 1;
            break;
        case LABEL_CONTENT_TYPE:
            (void)sf_cbor_skip(r);
            break;
        case LABEL_KID:
            out->kid = sf_cbor_read_bytes(r);
            out->has_kid = 1;
            break;
        default:
            sf_cbor_fail(r, SF_ERR_UNSUPPORTED, "unknown protected header");
        }
    }
    if (!has_algorithm || (out->algorithm != SF_COSE_ESP256 && out->algorithm != SF_COSE_ES256)) {
        sf_cbor_fail(r, SF_ERR_ALGORITHM, "signature algorithm is not ESP256");
    }
}

/* Decodes the map inside the protected bstr; `r` takes over an error at its offset in the whole. */
static void read_protected(struct sf_cbor_reader *r, struct sf_cose_sign1 *out)
{
    out->protected_header = sf_cbor_read_bytes(r);
    const size_t at = r->pos - out->protected_header.len;
    if (r->err != SF_OK) {
        return;
    }
    struct sf_diag diag = {0};
    int err = sf_cbor_check(out->protected_header, &diag);
    if (err == SF_OK) {
        struct sf_cbor_reader inner;
        sf_cbor_read_init(&inner, out->protected_header.data, out->protected_header.len);
        decode_protected(&inner, out);
        err = sf_cbor_read_end(&inner, &diag);
    }
    if (err < 0) {
        r->err = sf_fail(&r->diag, err, at + diag.offset, diag.why);
    }
}

void sf_cose_headers_read(struct sf_cbor_reader *r, struct sf_cose_sign1 *out)
{
    read_protected(r, out);
    if (sf_cbor_read_map(r) != 0) {
        sf_cbor_fail(r, SF_ERR_UNSUPPORTED, "unprotected headers must be empty");
    }
}

void sf_cose_signature_read(struct sf_cbor_reader *r, struct sf_cose_sign1 *out)
{
    out->signature = sf_cbor_read_bytes(r);
    if (r->err == SF_OK && out->signature.len != SF_P256_SIGNATURE_SIZE) {
        sf_cbor_fail(r, SF_ERR_RANGE, "signature is not 64 bytes long");
    }
}

static void read_payload(struct sf_cbor_reader *r, struct sf_cose_sign1 *out)
{
    if (sf_cbor_peek(r) == SF_CBOR_NULL) {
        sf_cbor_read_null(r);
        return;
    }
    out->payload = sf_cbor_read_bytes(r);
    out->has_payload = 1;
}

int sf_cose_sign1_decode(struct sf_bytes in, struct sf_cose_sign1 *out, struct sf_diag *diag)
{
    *out = (struct sf_cose_sign1){0};
    const int err = sf_cbor_check(in, diag);
    if (err < 0) {
        return err;
    }
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, in.data, in.len);
    if (sf_cbor_read_tag(&r) != SF_COSE_SIGN1_TAG) {
        sf_cbor_fail(&r, SF_ERR_CBOR, "not tagged as COSE_Sign1");
    }
    sf_cbor_read_array_of(&r, 4);
    sf_cose_headers_read(&r, out);
    read_payload(&r, out);
    sf_cose_signature_read(&r, out);
    return sf_cbor_read_end(&r, diag);
}

/* Hashes everything of the Sig_structure in two turns of (header bytes, content). */
static int hash_sig_structure(const struct sf_crypto *crypto, struct sf_sha256 *hash,
                              struct sf_bytes protected_header, struct sf_bytes payload)
{
    uint8_t head[32];
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, head, sizeof(head));
    sf_cbor_write_array(&w, 4);
    sf_cbor_write_text(&w, "Signature1");
    sf_cbor_write_bytes_header(&w, protected_header.len);
    int err = crypto->sha256_feed(crypto->ctx, hash, head, w.len);
    if (err == SF_OK) {
        err = crypto->sha256_feed(crypto->ctx, hash, protected_header.data, protected_header.len);
    }
    sf_cbor_write_init(&w, head, sizeof(head));
    sf_cbor_write_bytes_header(&w, 0);
    sf_cbor_write_bytes_header(&w, payload.len);
    if (err == SF_OK) {
        err = crypto->sha256_feed(crypto->ctx, hash, head, w.len);
    }
    if (err == SF_OK) {
        err = crypto->sha256_feed(crypto->ctx, hash, payload.data, payload.len);
    }
    return err;
}

static int sig_structure_digest(const struct sf_crypto *crypto, struct sf_bytes protected_header,
                                struct sf_bytes payload, uint8_t digest[SF_SHA256_SIZE])
{
    struct sf_sha256 hash;
    int err = crypto->sha256_start(crypto->ctx, &hash);
    if (err < 0) {
        return err;
    }
    err = hash_sig_structure(crypto, &hash, protected_header, payload);
    const int end = crypto->sha256_end(crypto->ctx, &hash, err < 0 ? NULL : digest);
    return err < 0 ? err : end;
}

int sf_cose_sign1_verify(const struct sf_cose_sign1 *sign1, struct sf_bytes payload,
                         const struct sf_verifier *by)
{
    if (sign1->algorithm != SF_COSE_ESP256 && sign1->algorithm != SF_COSE_ES256) {
        return SF_ERR_ALGORITHM;
    }
    if (sign1->signature.len != SF_P256_SIGNATURE_SIZE) {
        return SF_ERR_SIGNATURE;
    }
    if (by->kid_check != SF_COSE_KID_IGNORED &&
        (!sign1->has_kid || sign1->kid.len != SF_KID_SIZE ||
         memcmp(sign1->kid.data, by->key->kid, SF_KID_SIZE) != 0)) {
        return SF_ERR_KEY_UNKNOWN;
    }
    uint8_t digest[SF_SHA256_SIZE];
    const int err = sig_structure_digest(by->crypto, sign1->protected_header, payload, digest);
    if (err < 0) {
        return err;
    }
    return by->crypto->verify_p256(by->crypto->ctx, by->key->xy, digest, sign1->signature.data);
}

void sf_cose_protected_write(uint8_t out[SF_COSE_PROTECTED_SIZE], const uint8_t kid[SF_KID_SIZE])
{
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, SF_COSE_PROTECTED_SIZE);
    sf_cbor_write_map(&w, 2);
    sf_cbor_write_int(&w, LABEL_ALG);
    sf_cbor_write_int(&w, SF_COSE_ESP256);
    sf_cbor_write_int(&w, LABEL_KID);
    sf_cbor_write_bytes(&w, kid, SF_KID_SIZE);
}

int sf_cose_sign1_write(struct sf_cbor_writer *w, struct sf_bytes payload,
                        enum sf_cose_payload where, const struct sf_signer *signer,
                        const struct sf_crypto *crypto)
{
    uint8_t header[SF_COSE_PROTECTED_SIZE];
    sf_cose_protected_write(header, signer->kid);

    const struct sf_bytes protected_header = {header, sizeof(header)};
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t signature[SF_P256_SIGNATURE_SIZE];
    int err = sig_structure_digest(crypto, protected_header, payload, digest);
    if (err == SF_OK) {
        err = signer->sign(signer->ctx, digest, signature);
    }
    if (err < 0) {
        return err;
    }
    sf_cbor_write_tag(w, SF_COSE_SIGN1_TAG);
    sf_cbor_write_array(w, 4);
    sf_cbor_write_bytes(w, header, sizeof(header));
    sf_cbor_write_map(w, 0);
    if (where == SF_COSE_EMBEDDED) {
        sf_cbor_write_bytes(w, payload.data, payload.len);
    } else {
        sf_cbor_write_null(w);
    }
    sf_cbor_write_bytes(w, signature, sizeof(signature));
    return w->err;
}
