/*
 * t/lib/tsan/criterion/criterion.h - Criterion's words for make tsan: the same
 * test files, one process per test, no library.
 *
 * Why: Criterion starts a test in a process whose memory it places itself, and
 * the thread sanitizer has those addresses (libcriterion 2.4.1: "Could not
 * initialize inheritable arena"). Only what t/unit/store*.c says is here.
 */
#ifndef T_LIB_TSAN_CRITERION_H
#define T_LIB_TSAN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct tsan_test {
	struct tsan_test *next;
	const char	*name;
	void		(*run)(void);
	void		(*init)(void), (*fini)(void);
	double		 timeout;	/* not looked at */
};

static struct tsan_test *tsan_tests;

/* The arguments behind the name are members of the test. */
#define Test(suite, title, ...) \
	static void suite##_##title(void); \
	static void __attribute__((constructor)) \
	suite##_##title##_add(void) \
	{ \
		static struct tsan_test t = { .name = #suite "::" #title, \
			.run = suite##_##title, __VA_ARGS__ }; \
		t.next = tsan_tests; \
		tsan_tests = &t; \
	} \
	static void suite##_##title(void)

#define cr_assert(what, ...) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
			    #what); \
			fprintf(stderr, "" __VA_ARGS__); \
			fprintf(stderr, "\n"); \
			_exit(1); \
		} \
	} while (0)
#define cr_assert_eq(a, b, ...)		cr_assert((a) == (b), "" __VA_ARGS__)
#define cr_assert_null(a, ...)		cr_assert((a) == NULL, "" __VA_ARGS__)
#define cr_assert_not_null(a, ...)	cr_assert((a) != NULL, "" __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) \
	cr_assert(strcmp(a, b) == 0, "" __VA_ARGS__)

/* exit, not _exit: the sanitizer sets the code of a test that it spoke in. */
static bool
tsan_passes(const struct tsan_test *t)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (t->init != NULL)
			t->init();
		t->run();
		if (t->fini != NULL)
			t->fini();
		exit(0);
	}
	if (waitpid(pid, &status, 0) == pid && status == 0)
		return true;
	printf("FAILED %s\n", t->name);
	return false;
}

int
main(void)
{
	int passed = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct tsan_test *t = tsan_tests; t != NULL; t = t->next)
		if (tsan_passes(t))
			passed++;
		else
			failed++;
	printf("%d passed, %d failed\n", passed, failed);
	return failed > 0;
}

#endif
