/* A folder that is served while it is written to: whole files, no links, no way out. */
#include "cli/tree.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "tests/cli/run.h"

static struct tree tree;

static int setup(void **state)
{
    return run_setup(state);
}

static int open_tree(void **state)
{
    (void)state;
    return tree_open(&tree, run_path("tree"));
}

static int close_tree(void **state)
{
    (void)state;
    tree_close(&tree);
    const char *const argv[] = {"rm", "-rf", run_path("tree"), run_path("outside"), NULL};
    return run_program(argv)->status;
}

static int put(const char *path, const char *text)
{
    enum tree_put what;
    return tree_put(&tree, path, text, strlen(text), &what);
}

static void assert_text(const char *path, const char *text)
{
    struct file_bytes file;
    assert_int_equal(tree_read(&tree, path, 100, &file), CLI_OK);
    assert_non_null(file.data);
    assert_string_equal((const char *)file.data, text);
    file_release(&file);
}

static void files_are_put_and_equal_ones_left_alone(void **state)
{
    (void)state;
    enum tree_put what;
    assert_int_equal(tree_put(&tree, "a/b/c", "one", 3, &what), CLI_OK);
    assert_int_equal(what, TREE_WRITTEN);
    assert_int_equal(tree_put(&tree, "a/b/c", "one", 3, &what), CLI_OK);
    assert_int_equal(what, TREE_SAME);
    assert_int_equal(tree_put(&tree, "a/b/c", "on", 2, &what), CLI_OK);
    assert_int_equal(what, TREE_WRITTEN);
    assert_text("a/b/c", "on");
    struct stat st;
    assert_int_equal(stat(run_path("tree/a/b/c"), &st), 0);
    assert_int_equal(st.st_mode & 0444, 0444); /* a web server runs as somebody else */
}

static void what_is_not_there_is_no_error_to_read_or_remove(void **state)
{
    (void)state;
    struct file_bytes file;
    unsigned removed = 0;
    assert_int_equal(tree_read(&tree, "x/y", 100, &file), CLI_OK);
    assert_null(file.data);
    assert_int_equal(tree_remove(&tree, "x/y", &removed), CLI_OK);
    assert_int_equal(removed, 0);
    assert_int_equal(put("x/y", "1"), CLI_OK);
    assert_int_equal(tree_remove(&tree, "x/y", &removed), CLI_OK);
    assert_int_equal(removed, 1);
}

static void paths_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "/etc/x", "../x", "a/../../x",  "a//b",
                                      "./a", "a/.",    "a/..", "a/b/c/d/e/f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(put(bad[i], "1"), CLI_LOCAL);
    }
    assert_int_not_equal(access(run_path("x"), F_OK), 0);
}

static void folders_that_are_links_are_not_entered(void **state)
{
    (void)state;
    struct file_bytes file;
    unsigned removed = 0;
    assert_int_equal(mkdir(run_path("outside"), 0755), 0);
    run_write(run_path("outside/kept"), "1", 1);
    assert_int_equal(symlink(run_path("outside"), run_path("tree/a")), 0);
    assert_int_equal(put("a/new", "1"), CLI_LOCAL);
    assert_int_equal(tree_read(&tree, "a/kept", 10, &file), CLI_LOCAL);
    file_release(&file);
    assert_int_equal(tree_remove(&tree, "a/kept", &removed), CLI_LOCAL);
    assert_int_equal(tree_is_folder(&tree, "a"), 0);
    assert_int_not_equal(access(run_path("outside/new"), F_OK), 0);
    assert_int_equal(access(run_path("outside/kept"), F_OK), 0);
}

static void a_file_that_is_a_link_is_replaced_and_what_it_names_is_not(void **state)
{
    (void)state;
    struct file_bytes file;
    run_write(run_path("outside"), "1", 1);
    assert_int_equal(symlink(run_path("outside"), run_path("tree/f")), 0);
    assert_int_equal(tree_read(&tree, "f", 10, &file), CLI_LOCAL);
    file_release(&file);
    assert_int_equal(put("f", "1"), CLI_OK); /* the same bytes, but through a link */
    struct stat st;
    assert_int_equal(lstat(run_path("tree/f"), &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(put("f", "2"), CLI_OK);
    assert_text("f", "2");
    size_t len = 0;
    uint8_t *outside = run_read(run_path("outside"), &len);
    assert_int_equal(outside[0], '1');
    free(outside);
}

static void what_a_killed_writer_left_is_in_nobodys_way(void **state)
{
    (void)state;
    assert_int_equal(symlink("/nonexistent/place", run_path("tree/.f.new")), 0);
    assert_int_equal(put("f", "1"), CLI_OK);
    assert_text("f", "1");
    assert_int_not_equal(access(run_path("tree/.f.new"), F_OK), 0);
}

static void what_is_no_regular_file_is_not_read(void **state)
{
    (void)state;
    struct file_bytes file;
    assert_int_equal(mkfifo(run_path("tree/pipe"), 0600), 0);
    assert_int_equal(tree_read(&tree, "pipe", 10, &file), CLI_LOCAL); /* and not waited for */
    file_release(&file);
    assert_int_equal(mkdir(run_path("tree/folder"), 0755), 0);
    assert_int_equal(put("folder", "1"), CLI_LOCAL);
    assert_int_equal(put("long", "0123456789a"), CLI_OK);
    assert_int_equal(tree_read(&tree, "long", 10, &file), CLI_LOCAL);
    file_release(&file);
}

static void a_folder_that_is_none_is_refused(void **state)
{
    (void)state;
    struct tree other;
    run_write(run_path("outside"), "1", 1);
    assert_int_equal(tree_open(&other, run_path("outside")), CLI_LOCAL);
    tree_close(&other);
    assert_int_equal(tree_open(&other, run_path("no/such/parent")), CLI_LOCAL);
    tree_close(&other);
}

static int count(void *ctx, struct tree *t, const char *path)
{
    unsigned *n = ctx;
    (void)t;
    assert_memory_equal(path, "d/", 2);
    return ++*n == 2 ? CLI_REFUSED : CLI_OK;
}

static void names_of_a_folder_are_visited_until_one_says_stop(void **state)
{
    (void)state;
    unsigned n = 0;
    assert_int_equal(tree_each(&tree, "d", count, &n), CLI_OK);
    assert_int_equal(n, 0);
    assert_int_equal(put("d/1", "1"), CLI_OK);
    assert_int_equal(tree_each(&tree, "d", count, &n), CLI_OK);
    assert_int_equal(n, 1);
    n = 0;
    assert_int_equal(put("d/2", "1"), CLI_OK);
    assert_int_equal(put("d/3", "1"), CLI_OK);
    assert_int_equal(tree_each(&tree, "d", count, &n), CLI_REFUSED);
    assert_int_equal(n, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_tree, close_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_put_and_equal_ones_left_alone),
        TEST(what_is_not_there_is_no_error_to_read_or_remove),
        TEST(paths_that_lead_elsewhere_are_refused),
        TEST(folders_that_are_links_are_not_entered),
        TEST(a_file_that_is_a_link_is_replaced_and_what_it_names_is_not),
        TEST(what_a_killed_writer_left_is_in_nobodys_way),
        TEST(what_is_no_regular_file_is_not_read),
        TEST(a_folder_that_is_none_is_refused),
        TEST(names_of_a_folder_are_visited_until_one_says_stop),
    };
    return cmocka_run_group_tests(tests, setup, run_teardown);
}
