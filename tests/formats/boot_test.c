/* The boot decision alone, over every pair of entries and every set of slots that a product with
 * three slots and a factory can have. That it decides as the real bootloader does is shown in
 * bootloader_test.c. */
#include "formats/boot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { SLOTS = 3, SEQS = 5, STATES = 7, ENTRY_KINDS = SEQS * STATES };

static struct sf_otadata_entry entry_kind(unsigned kind)
{
    static const uint32_t seqs[SEQS] = {SF_OTA_SEQ_EMPTY, 0, 1, 2, 3};
    static const uint32_t states[STATES] = {SF_OTA_NEW,     SF_OTA_PENDING_VERIFY, SF_OTA_VALID,
                                            SF_OTA_INVALID, SF_OTA_ABORTED,        SF_OTA_UNDEFINED,
                                            0x0000ffff};
    struct sf_otadata_entry entry = sf_otadata_make(seqs[kind % SEQS], states[kind / SEQS]);
    if (seqs[kind % SEQS] == 3) {
        entry.crc ^= 1;
    }
    return entry;
}

/* Bit 0..2: ota_N verifies; bit 3: the factory is there and verifies. */
static struct sf_boot_input input(unsigned kind0, unsigned kind1, unsigned images,
                                  unsigned rollback)
{
    struct sf_boot_input in = {.has_otadata = 1, .rollback = rollback != 0, .ota_count = SLOTS};
    const struct sf_otadata_entry entry[2] = {entry_kind(kind0), entry_kind(kind1)};
    sf_otadata_encode(&entry[0], in.otadata[0]);
    sf_otadata_encode(&entry[1], in.otadata[1]);
    for (unsigned i = 0; i < SLOTS; i++) {
        in.ota[i] = (struct sf_boot_slot){.present = 1, .verifies = (images >> i) & 1};
    }
    in.factory.present = (images >> SLOTS) & 1;
    in.factory.verifies = in.factory.present;
    return in;
}

static void apply(struct sf_boot_input *in, const struct sf_boot_decision *d)
{
    for (unsigned i = 0; i < d->write_count; i++) {
        memcpy(in->otadata[d->write[i].sector], d->write[i].entry, SF_OTADATA_ENTRY_SIZE);
    }
}

static int state_is(const uint8_t bytes[SF_OTADATA_ENTRY_SIZE], uint32_t ota_state)
{
    struct sf_otadata_entry entry;
    sf_otadata_decode(bytes, &entry);
    return entry.ota_state == ota_state;
}

static void check(const struct sf_boot_input *in)
{
    struct sf_boot_input after = *in;
    struct sf_boot_decision first;
    struct sf_boot_decision later;
    const int any =
        in->factory.verifies || in->ota[0].verifies || in->ota[1].verifies || in->ota[2].verifies;
    sf_boot_decide(in, &first);
    assert_non_null(first.why);
    assert_int_equal(first.slot != SF_BOOT_NONE, any); /* whatever otadata says */
    if (first.slot >= 0) {
        assert_true(in->ota[first.slot].verifies);
    }
    apply(&after, &first);
    const int trial = state_is(after.otadata[0], SF_OTA_PENDING_VERIFY) +
                      state_is(after.otadata[1], SF_OTA_PENDING_VERIFY);
    assert_true(!in->rollback || trial <= 1);

    /* Left alone, a device settles: from the third boot on nothing is written any more. */
    for (unsigned boot = 2; boot <= 3; boot++) {
        sf_boot_decide(&after, &later);
        apply(&after, &later);
    }
    const int slot = later.slot;
    sf_boot_decide(&after, &later);
    assert_int_equal(later.write_count, 0);
    assert_int_equal(later.slot, slot);
}

static void something_boots_whenever_an_image_verifies_and_boots_settle(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ENTRY_KINDS * ENTRY_KINDS * 32; n++) {
        const unsigned pair = n / 32;
        const struct sf_boot_input in =
            input(pair / ENTRY_KINDS, pair % ENTRY_KINDS, n % 16, n / 16 % 2);
        check(&in);
    }
}

static void a_trial_that_is_not_confirmed_goes_back_to_what_ran(void **state)
{
    (void)state;
    const struct sf_otadata_entry old = sf_otadata_make(1, SF_OTA_VALID);
    const struct sf_otadata_entry new = sf_otadata_make(2, SF_OTA_NEW);
    struct sf_boot_input in = input(0, 0, 7, 1);
    struct sf_boot_decision decision;
    sf_otadata_encode(&old, in.otadata[0]);
    sf_otadata_encode(&new, in.otadata[1]);
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.slot, 1);
    assert_int_equal(decision.write_count, 1);
    assert_int_equal(decision.write[0].sector, 1);
    assert_true(state_is(decision.write[0].entry, SF_OTA_PENDING_VERIFY));
    apply(&in, &decision);
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.slot, 0);
    assert_true(state_is(decision.write[0].entry, SF_OTA_ABORTED));
}

static void says_why_that_slot(void **state)
{
    (void)state;
    struct sf_boot_decision decision;
    struct sf_boot_input in = input(0, 0, 7, 1); /* erased, no factory */
    sf_boot_decide(&in, &decision);
    assert_string_equal(decision.why, "otadata is empty");
    in.ota[0].verifies = 0;
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.slot, 1);
    assert_string_equal(decision.why, "fallback: the image to start with does not verify");
    in = input(0, 0, 15, 1);
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.slot, SF_BOOT_FACTORY);
    assert_string_equal(decision.why, "otadata is empty");
    in.factory.verifies = 0;
    sf_boot_decide(&in, &decision);
    assert_string_equal(decision.why, "fallback: the image to start with does not verify");
    in.has_otadata = 0;
    in.factory.present = 0;
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.slot, 0); /* there is nothing to fall back from */
    assert_string_equal(decision.why, "there is no otadata partition");
}

static void the_efuse_is_burnt_with_anti_rollback_only(void **state)
{
    (void)state;
    struct sf_boot_decision decision;
    struct sf_boot_input in = input(0, 0, 7, 1);
    in.ota[0].has_desc = 1;
    in.ota[0].secure_version = 3;
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.efuse_secure_version, 0);
    in.anti_rollback = 1;
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.slot, 0);
    assert_int_equal(decision.efuse_secure_version, 3);
    in.ota[0].has_desc = 0; /* no app_desc: such an image does not boot at all */
    sf_boot_decide(&in, &decision);
    assert_int_equal(decision.slot, SF_BOOT_NONE);
    assert_int_equal(decision.efuse_secure_version, 0);
}

static void nothing_to_boot_is_said_so(void **state)
{
    (void)state;
    static const struct sf_boot_input nothing;
    struct sf_boot_decision decision;
    sf_boot_decide(&nothing, &decision);
    assert_int_equal(decision.slot, SF_BOOT_NONE);
    assert_int_equal(decision.write_count, 0);
    assert_string_equal(decision.why, "no image verifies");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(something_boots_whenever_an_image_verifies_and_boots_settle),
        cmocka_unit_test(a_trial_that_is_not_confirmed_goes_back_to_what_ran),
        cmocka_unit_test(says_why_that_slot),
        cmocka_unit_test(the_efuse_is_burnt_with_anti_rollback_only),
        cmocka_unit_test(nothing_to_boot_is_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
