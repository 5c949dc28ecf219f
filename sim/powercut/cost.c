#include "sim/powercut/cost.h"

#include <jansson.h>
#include <stdio.h>

#include "sim/powercut/sweep.h"

/* The least: each sector of the image erased once and programmed once, and three states of one
 * otadata entry (NEW by the application, PENDING_VERIFY by the bootloader, VALID by the
 * application), each of which takes an erase: no state is made of another by clearing bits. */

enum { STATES = 3 };

static const char *const region_names[COST_REGIONS] = {"slot", "otadata", "records"};

struct least {
    uint64_t erases;
    uint64_t bytes;
};

static struct least least_of(uint32_t image_bytes)
{
    const uint32_t sectors = (image_bytes + SF_SECTOR_SIZE - 1) / SF_SECTOR_SIZE;
    return (struct least){.erases = (uint64_t)sectors + STATES,
                          .bytes =
                              (uint64_t)image_bytes + (uint64_t)STATES * SF_OTADATA_ENTRY_SIZE};
}

static struct least sum_of(const struct cost *c)
{
    struct least sum = {0};
    for (int i = 0; i < COST_REGIONS; i++) {
        sum.erases += c->erases[i];
        sum.bytes += c->bytes[i];
    }
    return sum;
}

static double ratio(uint64_t what, uint64_t least)
{
    return (double)what / (double)least;
}

static void print_header(void)
{
    printf("%-16s %8s  %-14s %-17s %-19s %s\n", "", "image", "slot", "otadata", "records",
           "against the least");
    printf("%-16s %8s  %-14s %-17s %-19s %s\n", "update", "bytes", "erases (most)",
           "erases (most) B", "erases writes B", "erases  bytes");
}

static void print_row(const struct scenario *s, const struct cost *c)
{
    const struct least sum = sum_of(c);
    const struct least least = least_of(c->image_bytes);
    printf("%-16s %8u  %6u (%u)     %3u (%u) %7llu   %3u %6u %7llu  ", s->name, c->image_bytes,
           c->erases[COST_SLOT], c->most_erases[COST_SLOT], c->erases[COST_OTADATA],
           c->most_erases[COST_OTADATA], (unsigned long long)c->bytes[COST_OTADATA],
           c->erases[COST_RECORDS], c->programs[COST_RECORDS],
           (unsigned long long)c->bytes[COST_RECORDS]);
    if (c->erases[COST_SLOT] == 0) {
        printf("no download\n");
    } else {
        printf("%6.2f %6.2f\n", ratio(sum.erases, least.erases), ratio(sum.bytes, least.bytes));
    }
}

static json_t *row_json(const struct scenario *s, const struct cost *c)
{
    const struct least sum = sum_of(c);
    const struct least least = least_of(c->image_bytes);
    json_t *row = json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "scenario", s->name, "image_bytes",
                            (int)c->image_bytes, "erases", (json_int_t)sum.erases, "bytes",
                            (json_int_t)sum.bytes, "least_erases", (json_int_t)least.erases,
                            "least_bytes", (json_int_t)least.bytes);
    for (int i = 0; i < COST_REGIONS; i++) {
        json_object_set_new(row, region_names[i],
                            json_pack("{s:i, s:i, s:i, s:I}", "erases", (int)c->erases[i],
                                      "most_erases_of_a_sector", (int)c->most_erases[i], "programs",
                                      (int)c->programs[i], "bytes", (json_int_t)c->bytes[i]));
    }
    return row;
}

static int print_json(json_t *rows)
{
    const int bad = !rows || json_dumpf(rows, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF;
    json_decref(rows);
    return bad ? SF_ERR_IO : SF_OK;
}

int cost_report(const struct scenario *only, int is_json)
{
    json_t *rows = is_json ? json_array() : NULL;
    if (!is_json) {
        print_header();
    }
    for (const struct scenario *s = scenarios; s->name; s++) {
        struct cost cost;
        if (only && s != only) {
            continue;
        }
        const int err = sweep_cost(s, KIT_FULL, &cost);
        if (err != SF_OK) {
            fprintf(stderr, "surefoot-sim: powercut: cannot play %s: %s\n", s->name,
                    sf_err_str(err));
            json_decref(rows);
            return err;
        }
        if (is_json) {
            json_array_append_new(rows, row_json(s, &cost));
        } else {
            print_row(s, &cost);
        }
    }
    return is_json ? print_json(rows) : SF_OK;
}
