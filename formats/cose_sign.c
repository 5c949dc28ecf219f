/* COSE_Sign with ESP256 (RFC 9052 section 4.1).
 *
 * Invariants
 *  1. Every byte is covered: payload and headers by each signature, and each signature by being
 *     verified: whoever opens one of these verifies them all (formats/root.c).
 *  2. Nothing here looks into the payload. */
#include "formats/cose_sign.h"

#include <string.h>

static void read_entry(struct sf_cbor_reader *r, struct sf_cose_sign1 *out)
{
    *out = (struct sf_cose_sign1){0};
    sf_cbor_read_array_of(r, 3);
    sf_cose_headers_read(r, out);
    sf_cose_signature_read(r, out);
    if (r->err == SF_OK && (!out->has_kid || out->kid.len != SF_KID_SIZE)) {
        sf_cbor_fail(r, SF_ERR_KEY_UNKNOWN,
                     "a signature does not name its key by a kid of 8 bytes");
    }
}

static void read_entries(struct sf_cbor_reader *r, struct sf_cose_sign *out)
{
    const uint64_t count = sf_cbor_read_array(r);
    if (count == 0 || count > SF_COSE_SIGNATURE_MAX) {
        sf_cbor_fail(r, SF_ERR_RANGE, "no signature, or more than twelve");
        return;
    }
    const size_t start = r->pos;
    struct sf_bytes last = {0};
    for (out->count = 0; out->count < (unsigned)count; out->count++) {
        struct sf_cose_sign1 entry;
        const size_t at = r->pos;
        read_entry(r, &entry);
        if (r->err != SF_OK) {
            return;
        }
        const int order = last.len == 0 ? -1 : memcmp(last.data, entry.kid.data, SF_KID_SIZE);
        if (order >= 0) {
            r->pos = at;
            sf_cbor_fail(r, order == 0 ? SF_ERR_DUPLICATE : SF_ERR_CBOR,
                         "signatures are not in ascending order of their kid, each once");
            return;
        }
        last = entry.kid;
    }
    out->signatures = (struct sf_bytes){r->data + start, r->pos - start};
}

int sf_cose_sign_decode(struct sf_bytes in, struct sf_bytes protected_header,
                        struct sf_cose_sign *out, struct sf_diag *diag)
{
    *out = (struct sf_cose_sign){0};
    const int err = sf_cbor_check(in, diag);
    if (err < 0) {
        return err;
    }
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, in.data, in.len);
    if (sf_cbor_read_tag(&r) != SF_COSE_SIGN_TAG) {
        sf_cbor_fail(&r, SF_ERR_CBOR, "not tagged as COSE_Sign");
    }
    sf_cbor_read_array_of(&r, 4);
    out->protected_header = sf_cbor_read_bytes(&r);
    if (r.err == SF_OK &&
        (out->protected_header.len != protected_header.len ||
         memcmp(out->protected_header.data, protected_header.data, protected_header.len) != 0)) {
        sf_cbor_fail(&r, SF_ERR_UNSUPPORTED, "the body's protected header is another one");
    }
    if (sf_cbor_read_map(&r) != 0) {
        sf_cbor_fail(&r, SF_ERR_UNSUPPORTED, "unprotected headers must be empty");
    }
    out->payload = sf_cbor_read_bytes(&r);
    read_entries(&r, out);
    return sf_cbor_read_end(&r, diag);
}

int sf_cose_sign_next(const struct sf_cose_sign *sign, size_t *cursor, struct sf_cose_sign1 *out)
{
    if (*cursor >= sign->signatures.len) {
        return 0;
    }
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, sign->signatures.data, sign->signatures.len);
    r.pos = *cursor;
    read_entry(&r, out);
    *cursor = r.err == SF_OK ? r.pos : sign->signatures.len;
    return r.err == SF_OK;
}

/* The Sig_structure's pieces: each is what stands before a content, and the content. */
static int hash_sig_structure(const struct sf_cose_sign *sign, struct sf_bytes entry_protected,
                              const struct sf_crypto *crypto, struct sf_sha256 *hash)
{
    const struct sf_bytes content[] = {sign->protected_header, entry_protected, sign->payload};
    int err = SF_OK;
    for (unsigned i = 0; i < 3 && err == SF_OK; i++) {
        uint8_t head[24];
        struct sf_cbor_writer w;
        sf_cbor_write_init(&w, head, sizeof(head));
        if (i == 0) {
            sf_cbor_write_array(&w, 5);
            sf_cbor_write_text(&w, "Signature");
        } else if (i == 2) {
            sf_cbor_write_bytes_header(&w, 0); /* no external data */
        }
        sf_cbor_write_bytes_header(&w, content[i].len);
        err = crypto->sha256_feed(crypto->ctx, hash, head, w.len);
        if (err == SF_OK) {
            err = crypto->sha256_feed(crypto->ctx, hash, content[i].data, content[i].len);
        }
    }
    return err;
}

static int sig_structure_digest(const struct sf_cose_sign *sign, struct sf_bytes entry_protected,
                                const struct sf_crypto *crypto, uint8_t digest[SF_SHA256_SIZE])
{
    struct sf_sha256 hash;
    int err = crypto->sha256_start(crypto->ctx, &hash);
    if (err < 0) {
        return err;
    }
    err = hash_sig_structure(sign, entry_protected, crypto, &hash);
    const int end = crypto->sha256_end(crypto->ctx, &hash, err < 0 ? NULL : digest);
    return err < 0 ? err : end;
}

int sf_cose_sign_verify(const struct sf_cose_sign *sign, const struct sf_cose_sign1 *entry,
                        const struct sf_public_key *key, const struct sf_crypto *crypto)
{
    if (entry->algorithm != SF_COSE_ESP256 && entry->algorithm != SF_COSE_ES256) {
        return SF_ERR_ALGORITHM;
    }
    if (entry->kid.len != SF_KID_SIZE || memcmp(entry->kid.data, key->kid, SF_KID_SIZE) != 0) {
        return SF_ERR_KEY_UNKNOWN;
    }
    if (entry->signature.len != SF_P256_SIGNATURE_SIZE) {
        return SF_ERR_SIGNATURE;
    }
    uint8_t digest[SF_SHA256_SIZE];
    const int err = sig_structure_digest(sign, entry->protected_header, crypto, digest);
    return err < 0 ? err : crypto->verify_p256(crypto->ctx, key->xy, digest, entry->signature.data);
}

int sf_cose_sign_make(const struct sf_cose_sign *sign, const struct sf_signer *signer,
                      const struct sf_crypto *crypto, struct sf_cose_signature *out)
{
    uint8_t header[SF_COSE_PROTECTED_SIZE];
    uint8_t digest[SF_SHA256_SIZE];
    sf_cose_protected_write(header, signer->kid);
    const int err =
        sig_structure_digest(sign, (struct sf_bytes){header, sizeof(header)}, crypto, digest);
    if (err < 0) {
        return err;
    }
    memcpy(out->kid, signer->kid, SF_KID_SIZE);
    return signer->sign(signer->ctx, digest, out->signature);
}

int32_t sf_cose_sign_write(const struct sf_cose_sign *sign,
                           const struct sf_cose_signature *signatures, unsigned count,
                           struct sf_cbor_writer *w)
{
    if (count == 0 || count > SF_COSE_SIGNATURE_MAX) {
        return SF_ERR_RANGE;
    }
    sf_cbor_write_tag(w, SF_COSE_SIGN_TAG);
    sf_cbor_write_array(w, 4);
    sf_cbor_write_bytes(w, sign->protected_header.data, sign->protected_header.len);
    sf_cbor_write_map(w, 0);
    sf_cbor_write_bytes(w, sign->payload.data, sign->payload.len);
    sf_cbor_write_array(w, count);
    const struct sf_cose_signature *last = NULL;
    for (unsigned i = 0; i < count; i++) {
        const struct sf_cose_signature *one =
            &signatures[sf_cbor_nth(signatures, sizeof(*signatures), SF_KID_SIZE, count, i)];
        uint8_t header[SF_COSE_PROTECTED_SIZE];
        if (last != NULL && memcmp(last->kid, one->kid, SF_KID_SIZE) == 0) {
            return SF_ERR_DUPLICATE;
        }
        sf_cose_protected_write(header, one->kid);
        sf_cbor_write_array(w, 3);
        sf_cbor_write_bytes(w, header, sizeof(header));
        sf_cbor_write_map(w, 0);
        sf_cbor_write_bytes(w, one->signature, SF_P256_SIGNATURE_SIZE);
        last = one;
    }
    return sf_cbor_write_end(w);
}
