/* The trust root: what it carries, who must have signed it, what it refuses. */
#include "formats/root.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "formats/cose_sign.h"
#include "formats/root_make.h"
#include "tests/formats/wire_support.h"
#include "tests/support/root_kit.h"

static struct root_kit kit;

static int setup(void **state)
{
    (void)state;
    root_kit_init(&kit);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    root_kit_release(&kit);
    return 0;
}

enum { K0 = 1 << 0, K1 = 1 << 1, K2 = 1 << 2, K3 = 1 << 3, K9 = 1 << 9, K10 = 1 << 10 };

static void trust_first(struct root_kit_trust *t)
{
    struct sf_root_draft d;
    root_kit_draft(&kit, &d);
    t->root.version = 0;
    assert_int_equal(root_kit_open(&kit, t, &d, K0 | K1), SF_OK);
}

static int open_next(const struct root_kit_trust *t, const struct sf_root_draft *draft,
                     unsigned signers)
{
    uint8_t file[SF_ROOT_MAX];
    struct sf_root root;
    return sf_root_open_next(root_kit_sign(&kit, draft, signers, file), &t->root, crypto_openssl(),
                             &root, NULL);
}

/* ---- what it carries ---- */

static void random_draft(struct wire_random *r, struct sf_root_draft *d)
{
    root_kit_draft(&kit, d);
    d->version = 1 + (uint32_t)wire_random_below(r, 70000);
    d->policy = (uint32_t)wire_random_below(r, 2);
    if (wire_random_below(r, 2) != 0) {
        root_kit_add(&kit, d, SF_ROLE_RELEASE, ROOT_KIT_RELEASE + 1);
        d->threshold[SF_ROLE_RELEASE] = 2;
        root_kit_add(&kit, d, SF_ROLE_DELTA, ROOT_KIT_DELTA);
    }
    for (unsigned i = 0; i < SF_ROLE_DELTA; i++) {
        d->epoch[i] = (uint32_t)wire_random_below(r, 300);
    }
    wire_random_root_lists(r, d);
}

static void assert_lists(const struct sf_root_draft *d, const struct sf_root *root)
{
    for (unsigned i = 0; i < d->revoked_count; i++) {
        assert_true(sf_root_revokes(root, d->revoked[i]));
        assert_memory_equal(sf_root_revoked(root, i), d->revoked[i], SF_SHA256_SIZE);
    }
    assert_null(sf_root_revoked(root, d->revoked_count));
    for (unsigned i = 0; i < d->minimum_count; i++) {
        assert_int_equal(sf_root_minimum_seq(root, d->minimum[i].class_uuid), d->minimum[i].seq);
    }
    for (unsigned i = 0; i < d->anchor_count; i++) {
        assert_memory_equal(sf_root_anchor(root, i), d->anchor[i], SF_SHA256_SIZE);
    }
    assert_null(sf_root_anchor(root, d->anchor_count));
}

static void what_is_written_opens_to_the_same(void **state)
{
    (void)state;
    struct wire_random r;
    wire_random_init(&r);
    for (unsigned i = 0; i < 200; i++) {
        struct sf_root_draft d;
        struct sf_root_draft again;
        struct sf_root root;
        uint8_t file[SF_ROOT_MAX];
        uint8_t payload[SF_ROOT_PAYLOAD_MAX];
        random_draft(&r, &d);
        const struct sf_bytes in = root_kit_sign(&kit, &d, K1 | K2, file);
        assert_int_equal(sf_root_open_first(in, crypto_openssl(), &root, NULL), SF_OK);
        assert_int_equal(root.version, d.version);
        assert_int_equal(root.policy, d.policy);
        assert_int_equal(root.expires, d.expires);
        assert_memory_equal(root.fleet_id, d.fleet_id, SF_FLEET_ID_SIZE);
        assert_lists(&d, &root);
        sf_root_draft_from(&root, &again);
        const int32_t len =
            sf_root_encode(&again, crypto_openssl(), NULL, payload, sizeof(payload));
        assert_int_equal(len, root.payload.len);
        assert_memory_equal(payload, root.payload.data, root.payload.len);
    }
}

static void roles_have_their_keys(void **state)
{
    (void)state;
    struct root_kit_trust t;
    struct sf_public_key key;
    trust_first(&t);
    unsigned found = 0;
    for (unsigned i = 0; sf_root_key(&t.root, SF_ROLE_ROOT, i, &key) == SF_OK; i++) {
        for (unsigned k = 0; k < 3; k++) {
            found += memcmp(&key, &kit.key[k].public_key, sizeof(key)) == 0;
        }
    }
    assert_int_equal(found, 3);
    assert_int_equal(sf_root_key(&t.root, SF_ROLE_RELEASE, 0, &key), SF_OK);
    assert_memory_equal(&key, &kit.key[ROOT_KIT_RELEASE].public_key, sizeof(key));
    assert_int_equal(sf_root_key(&t.root, SF_ROLE_STATUS, 0, &key), SF_OK);
    assert_memory_equal(&key, &kit.key[ROOT_KIT_STATUS].public_key, sizeof(key));
    assert_int_equal(sf_root_key(&t.root, SF_ROLE_STATUS, 1, &key), SF_ERR_NOTFOUND);
    assert_int_equal(sf_root_key(&t.root, SF_ROLE_DELTA, 0, &key), SF_ERR_NOTFOUND);
}

static void six_keys_and_four_signatures_take_under_a_kilobyte(void **state)
{
    (void)state;
    struct sf_root_draft d;
    uint8_t file[SF_ROOT_MAX];
    root_kit_draft(&kit, &d);
    root_kit_add(&kit, &d, SF_ROLE_ROOT, 3);
    const struct sf_bytes in = root_kit_sign(&kit, &d, K0 | K1 | K2 | K3, file);
    print_message("6 keys, 4 signatures: %zu bytes\n", in.len);
    assert_in_range(in.len, 900, 1024);
}

/* ---- who must have signed it ---- */

struct count {
    const struct root_kit_trust *trusted; /* NULL: as the first */
    unsigned entered;                     /* how often the payload's parser was entered */
};

static void flip_is_refused(struct sf_bytes mutated, void *ctx)
{
    struct count *count = ctx;
    struct sf_root root;
    struct sf_diag diag = {0};
    root.version = 0x5a5a5a5a;
    const int err =
        count->trusted != NULL
            ? sf_root_open_next(mutated, &count->trusted->root, crypto_openssl(), &root, &diag)
            : sf_root_open_first(mutated, crypto_openssl(), &root, &diag);
    assert_true(err < 0);
    assert_non_null(diag.why);
    assert_true(diag.offset <= mutated.len);
    count->entered += root.version != 0x5a5a5a5a; /* the parser begins with zeros */
}

static void arbitrary_installation_every_bit_flipped_is_refused_unparsed(void **state)
{
    (void)state;
    struct root_kit_trust t;
    uint8_t file[SF_ROOT_MAX];
    trust_first(&t);
    const struct sf_root_draft d = root_kit_next_draft(&t);
    const struct sf_bytes in = root_kit_sign(&kit, &d, K0 | K2, file);
    struct count count = {.trusted = &t};
    wire_each_flip(in, flip_is_refused, &count);
    wire_each_truncation(in, flip_is_refused, &count);
    assert_int_equal(count.entered, 0);
}

static void every_bit_of_a_first_root_counts(void **state)
{
    (void)state;
    struct sf_root_draft d;
    uint8_t file[SF_ROOT_MAX];
    struct count count = {0};
    root_kit_draft(&kit, &d);
    const struct sf_bytes in = root_kit_sign(&kit, &d, K0 | K1, file);
    wire_each_flip(in, flip_is_refused, &count);
    assert_true(count.entered > 0); /* nothing vouches for it before its keys are read */
}

static void the_threshold_of_the_old_and_of_the_new_keys(void **state)
{
    (void)state;
    struct root_kit_trust t;
    trust_first(&t);
    struct sf_root_draft d = root_kit_next_draft(&t);
    root_kit_remove(&kit, &d, 0);
    root_kit_remove(&kit, &d, 1);
    root_kit_add(&kit, &d, SF_ROLE_ROOT, 9);
    root_kit_add(&kit, &d, SF_ROLE_ROOT, 10);                             /* now 2 of {2, 9, 10} */
    assert_int_equal(open_next(&t, &d, K0 | K1), SF_ERR_THRESHOLD);       /* no new one */
    assert_int_equal(open_next(&t, &d, K9 | K10), SF_ERR_THRESHOLD);      /* no old one */
    assert_int_equal(open_next(&t, &d, K0 | K9 | K10), SF_ERR_THRESHOLD); /* one old one */
    assert_int_equal(open_next(&t, &d, K0 | K1 | K9), SF_ERR_THRESHOLD);  /* one new one */
    assert_int_equal(open_next(&t, &d, K0 | K2 | K9), SF_OK);             /* 2 is of both */
    assert_int_equal(open_next(&t, &d, K0 | K1 | K9 | K10), SF_OK);
    assert_int_equal(open_next(&t, &d, K0 | K1 | K9 | K10 | K3), SF_ERR_KEY_UNKNOWN);
}

/* ---- key compromise and the order of versions ---- */

static void key_compromise_is_refused(void **state)
{
    (void)state;
    struct root_kit_trust t;
    trust_first(&t);
    struct sf_root_draft d = root_kit_next_draft(&t);
    assert_int_equal(open_next(&t, &d, K0), SF_ERR_THRESHOLD); /* 1 of 2 */
    assert_int_equal(open_next(&t, &d, 1U << ROOT_KIT_RELEASE), SF_ERR_THRESHOLD);
    assert_int_equal(open_next(&t, &d, K0 | 1U << ROOT_KIT_RELEASE), SF_ERR_THRESHOLD);
    assert_int_equal(open_next(&t, &d, K0 | K1 | 1U << ROOT_KIT_RELEASE), SF_ERR_KEY_UNKNOWN);
    d.version++; /* N+2 without N+1 */
    assert_int_equal(open_next(&t, &d, K0 | K1), SF_ERR_ROOT_VERSION);
    d.version -= 2; /* N once more */
    assert_int_equal(open_next(&t, &d, K0 | K1), SF_ERR_ROOT_VERSION);
    struct sf_root_draft stolen = root_kit_next_draft(&t); /* signed only by new keys */
    for (unsigned i = 0; i < 3; i++) {
        root_kit_remove(&kit, &stolen, i);
    }
    root_kit_add(&kit, &stolen, SF_ROLE_ROOT, 9);
    root_kit_add(&kit, &stolen, SF_ROLE_ROOT, 10);
    assert_int_equal(open_next(&t, &stolen, K9 | K10), SF_ERR_THRESHOLD);
}

static void another_fleet_and_an_older_epoch_do_not_follow(void **state)
{
    (void)state;
    struct root_kit_trust t;
    trust_first(&t);
    struct sf_root_draft d = root_kit_next_draft(&t);
    d.epoch[SF_ROLE_RELEASE] = 5;
    d.epoch[SF_ROLE_STATUS] = 3;
    assert_int_equal(root_kit_open(&kit, &t, &d, K0 | K1), SF_OK);
    d = root_kit_next_draft(&t);
    d.fleet_id[0] ^= 1;
    assert_int_equal(open_next(&t, &d, K0 | K1), SF_ERR_ROOT_LINEAGE);
    d = root_kit_next_draft(&t);
    d.epoch[SF_ROLE_RELEASE] = 4;
    assert_int_equal(open_next(&t, &d, K0 | K1), SF_ERR_ROOT_LINEAGE);
    d = root_kit_next_draft(&t);
    d.epoch[SF_ROLE_STATUS] = 2;
    assert_int_equal(open_next(&t, &d, K0 | K1), SF_ERR_ROOT_LINEAGE);
    assert_int_equal(sf_root_follows(&t.root, &t.root), SF_ERR_ROOT_VERSION);
}

/* A COSE_Sign1 by a root key, a COSE_Sign with another content type, a status: none is a root. */
static void other_signed_objects_are_no_root(void **state)
{
    (void)state;
    struct root_kit_trust t;
    struct sf_root root;
    uint8_t file[SF_ROOT_MAX];
    struct sf_cbor_writer w;
    trust_first(&t);
    sf_cbor_write_init(&w, file, sizeof(file));
    assert_int_equal(
        sf_cose_sign1_write(&w, t.root.payload, SF_COSE_EMBEDDED, &kit.signer[0], crypto_openssl()),
        SF_OK);
    assert_int_equal(
        sf_root_open_first((struct sf_bytes){file, w.len}, crypto_openssl(), &root, NULL),
        SF_ERR_CBOR);
    const struct sf_root_draft d = root_kit_next_draft(&t);
    const struct sf_bytes in = root_kit_sign(&kit, &d, K0 | K1, file);
    file[8] ^= 1; /* in the content type */
    assert_int_equal(sf_root_open_next(in, &t.root, crypto_openssl(), &root, NULL),
                     SF_ERR_UNSUPPORTED);
}

/* ---- bounds and rules of the payload ---- */

static int encode(const struct sf_root_draft *d)
{
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    return sf_root_encode(d, crypto_openssl(), NULL, payload, sizeof(payload));
}

static void each_rule_of_the_payload_is_kept(void **state)
{
    (void)state;
    struct sf_root_draft good;
    root_kit_draft(&kit, &good);
    assert_true(encode(&good) > 0);
    struct sf_root_draft d = good;
    d.version = 0;
    assert_int_equal(encode(&d), SF_ERR_RANGE);
    d = good;
    d.expires = d.issued_at;
    assert_int_equal(encode(&d), SF_ERR_RANGE);
    d = good;
    d.issued_at = -1;
    assert_int_equal(encode(&d), SF_ERR_RANGE);
    d = good;
    d.threshold[SF_ROLE_ROOT] = 0;
    assert_int_equal(encode(&d), SF_ERR_RANGE);
    d.threshold[SF_ROLE_ROOT] = 4; /* of three */
    assert_int_equal(encode(&d), SF_ERR_RANGE);
    d = good;
    d.threshold[SF_ROLE_STATUS] = 2;
    root_kit_add(&kit, &d, SF_ROLE_STATUS, 11);
    assert_int_equal(encode(&d), SF_ERR_RANGE);
    d = good;
    root_kit_remove(&kit, &d, ROOT_KIT_RELEASE);
    assert_int_equal(encode(&d), SF_ERR_RANGE);
    d = good;
    for (unsigned i = 7; i < ROOT_KIT_KEYS; i++) {
        root_kit_add(&kit, &d, SF_ROLE_RELEASE, i);
    }
    assert_int_equal(encode(&d), SF_ERR_RANGE); /* six release keys */
    d = good;
    d.revoked_count = SF_ROOT_REVOKED_MAX + 1;
    assert_int_equal(encode(&d), SF_ERR_RANGE);
}

/* A root with all that there may be of one thing is over the size, or opens. */
static void what_is_too_large_is_refused_unread(void **state)
{
    (void)state;
    static uint8_t zeros[SF_ROOT_MAX + 1];
    struct sf_root root;
    struct sf_root_draft d;
    assert_int_equal(
        sf_root_open_first((struct sf_bytes){zeros, sizeof(zeros)}, crypto_openssl(), &root, NULL),
        SF_ERR_TOO_LARGE);
    assert_int_equal(sf_root_decode((struct sf_bytes){zeros, SF_ROOT_PAYLOAD_MAX + 1},
                                    crypto_openssl(), &root, NULL),
                     SF_ERR_TOO_LARGE);
    root_kit_draft(&kit, &d);
    for (unsigned i = 0; i < SF_ROOT_REVOKED_MAX; i++) {
        d.revoked[i][0] = (uint8_t)i;
    }
    d.revoked_count = SF_ROOT_REVOKED_MAX;
    assert_true(encode(&d) > 0);
    for (unsigned i = 0; i < SF_ROOT_MINIMUM_MAX; i++) {
        d.minimum[i].class_uuid[0] = (uint8_t)i;
        d.minimum[i].seq = UINT64_MAX;
    }
    d.minimum_count = SF_ROOT_MINIMUM_MAX;
    assert_int_equal(encode(&d), SF_ERR_NOSPC);
}

static int decode_changed(size_t at, uint8_t value)
{
    struct sf_root_draft d;
    struct sf_root root;
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    root_kit_draft(&kit, &d);
    const int32_t len = sf_root_encode(&d, crypto_openssl(), NULL, payload, sizeof(payload));
    assert_true(len > 0);
    payload[at] = value;
    return sf_root_decode((struct sf_bytes){payload, (size_t)len}, crypto_openssl(), &root, NULL);
}

static void another_spec_is_refused_and_a_later_field_passed_over(void **state)
{
    (void)state;
    struct root_kit_trust t;
    struct sf_root root;
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    static const uint8_t extra[] = {0x18, 0x63, 0x82, 0x01, 0x61, 0x78}; /* 99: [1, "x"] */
    assert_int_equal(decode_changed(2, 1), SF_OK);                       /* a7 01 01 ... */
    assert_int_equal(decode_changed(2, 2), SF_ERR_VERSION);
    assert_int_equal(decode_changed(0, 0xa6), SF_ERR_TRAILING);
    trust_first(&t);
    memcpy(payload, t.root.payload.data, t.root.payload.len);
    memcpy(payload + t.root.payload.len, extra, sizeof(extra));
    payload[0]++;
    const struct sf_bytes in = {payload, t.root.payload.len + sizeof(extra)};
    assert_int_equal(sf_root_decode(in, crypto_openssl(), &root, NULL), SF_OK);
}

/* As if the root keys themselves had signed it. */
static void signed_nonsense_is_refused_where_it_stands(void **state)
{
    (void)state;
    struct root_kit_trust t;
    trust_first(&t);
    unsigned opened = 0;
    for (size_t at = 0; at < t.root.payload.len; at++) {
        uint8_t payload[SF_ROOT_PAYLOAD_MAX];
        uint8_t file[SF_ROOT_MAX];
        struct sf_root root;
        struct sf_diag diag = {0};
        memcpy(payload, t.root.payload.data, t.root.payload.len);
        payload[at] ^= (uint8_t)(1U << at % 8);
        const struct sf_bytes in = root_kit_sign_payload(
            &kit, (struct sf_bytes){payload, t.root.payload.len}, K0 | K1, file);
        if (sf_root_open_first(in, crypto_openssl(), &root, &diag) == SF_OK) {
            opened++; /* another time, fleet or epoch */
        } else {
            assert_non_null(diag.why);
            assert_true(diag.offset <= in.len);
        }
    }
    assert_in_range(opened, 1, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_opens_to_the_same),
        cmocka_unit_test(roles_have_their_keys),
        cmocka_unit_test(six_keys_and_four_signatures_take_under_a_kilobyte),
        cmocka_unit_test(arbitrary_installation_every_bit_flipped_is_refused_unparsed),
        cmocka_unit_test(every_bit_of_a_first_root_counts),
        cmocka_unit_test(the_threshold_of_the_old_and_of_the_new_keys),
        cmocka_unit_test(key_compromise_is_refused),
        cmocka_unit_test(another_fleet_and_an_older_epoch_do_not_follow),
        cmocka_unit_test(other_signed_objects_are_no_root),
        cmocka_unit_test(each_rule_of_the_payload_is_kept),
        cmocka_unit_test(what_is_too_large_is_refused_unread),
        cmocka_unit_test(another_spec_is_refused_and_a_later_field_passed_over),
        cmocka_unit_test(signed_nonsense_is_refused_where_it_stands),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
