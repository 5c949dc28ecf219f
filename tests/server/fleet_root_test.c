/* Which trust roots the server takes. */
#include "server/fleet/root.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "tests/support/root_kit.h"

enum { K0 = 1 << 0, K1 = 1 << 1, K2 = 1 << 2, OTHER = 10 };

static struct root_kit keys;

static int setup(void **state)
{
    (void)state;
    root_kit_init(&keys);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    root_kit_release(&keys);
    return 0;
}

static const struct sf_bytes none;

static int accept(struct sf_bytes file, struct sf_bytes newest, unsigned status_key)
{
    struct sf_root root;
    return root_accept(file, newest, &keys.key[status_key].public_key, crypto_openssl(), &root);
}

static void the_first_counts_by_its_own_signatures(void **state)
{
    (void)state;
    struct sf_root_draft d;
    uint8_t file[SF_ROOT_MAX];
    root_kit_draft(&keys, &d);
    d.version = 7; /* the server need not have seen the earlier ones */
    assert_int_equal(accept(root_kit_sign(&keys, &d, K0 | K2, file), none, ROOT_KIT_STATUS), SF_OK);
    assert_int_equal(accept(root_kit_sign(&keys, &d, K0, file), none, ROOT_KIT_STATUS),
                     SF_ERR_THRESHOLD);
}

static void then_only_the_next_one(void **state)
{
    (void)state;
    struct sf_root_draft d;
    uint8_t first[SF_ROOT_MAX];
    uint8_t file[SF_ROOT_MAX];
    root_kit_draft(&keys, &d);
    const struct sf_bytes newest = root_kit_sign(&keys, &d, K0 | K1, first);
    d.version = 2;
    assert_int_equal(accept(root_kit_sign(&keys, &d, K1 | K2, file), newest, ROOT_KIT_STATUS),
                     SF_OK);
    d.version = 3;
    assert_int_equal(accept(root_kit_sign(&keys, &d, K1 | K2, file), newest, ROOT_KIT_STATUS),
                     SF_ERR_ROOT_VERSION);
}

static void none_without_the_servers_own_key(void **state)
{
    (void)state;
    struct sf_root_draft d;
    uint8_t file[SF_ROOT_MAX];
    root_kit_draft(&keys, &d);
    assert_int_equal(accept(root_kit_sign(&keys, &d, K0 | K1, file), none, OTHER), SF_ERR_STATE);
    /* A key of another role does not do. */
    assert_int_equal(accept(root_kit_sign(&keys, &d, K0 | K1, file), none, ROOT_KIT_RELEASE),
                     SF_ERR_STATE);
    root_kit_add(&keys, &d, SF_ROLE_STATUS, OTHER); /* beside the old one, until it is replaced */
    assert_int_equal(accept(root_kit_sign(&keys, &d, K0 | K1, file), none, OTHER), SF_OK);
    assert_int_equal(accept(root_kit_sign(&keys, &d, K0 | K1, file), none, ROOT_KIT_STATUS), SF_OK);
}

static void the_release_role_is_a_verifier(void **state)
{
    (void)state;
    struct sf_root_draft d;
    struct sf_root root;
    struct sf_public_key key[SF_ROOT_ROLE_KEY_MAX];
    uint8_t file[SF_ROOT_MAX];
    root_kit_draft(&keys, &d);
    root_kit_add(&keys, &d, SF_ROLE_RELEASE, OTHER);
    d.threshold[SF_ROLE_RELEASE] = 2;
    const struct sf_bytes in = root_kit_sign(&keys, &d, K0 | K1, file);
    assert_int_equal(root_load(in, crypto_openssl(), &root), SF_OK);
    const struct sf_verifier by = root_release_verifier(&root, crypto_openssl(), key);
    assert_int_equal(by.key_count, 2);
    assert_int_equal(by.threshold, 2);
    assert_true(root_lists(&root, SF_ROLE_RELEASE, &key[0]));
    assert_true(root_lists(&root, SF_ROLE_RELEASE, &key[1]));
    assert_false(root_lists(&root, SF_ROLE_STATUS, &key[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_counts_by_its_own_signatures),
        cmocka_unit_test(then_only_the_next_one),
        cmocka_unit_test(none_without_the_servers_own_key),
        cmocka_unit_test(the_release_role_is_a_verifier),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
