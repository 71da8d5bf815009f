/*
 * t/unit/word_deaths.c - shm/word.c with several processes, which end well,
 * get killed or are replaced. The test is worker 0, the others worker 1.
 */
#include "shm/word.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t/lib/unit_process.h"
#include "t/lib/unit_word.h"

enum { IDS = 16, MILLION = 1000000, KILLS = 200 };

TestSuite(word_deaths, .init = unit_words_open, .fini = unit_words_close);

static void
nap(long ns)
{
	struct timespec t = { 0, ns };

	nanosleep(&t, NULL);
}

/* A flag that all wait for, so that they run together. */
static _Atomic int *gate;

static pid_t
worker(void (*work)(int), int arg)
{
	pid_t pid;

	if (gate == NULL)
		gate = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (pid != 0)
		return pid;
	while (*gate == 0)
		;
	work(arg);
	_exit(0);
}

static void
reap(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
work_million(int tag)
{
	for (int i = 0; i < MILLION; i++) {
		word_add(words, K, 3, (uint32_t)tag);
		word_add(words, K, 3, (uint32_t)tag);
		word_sub(words, K, 3, (uint32_t)tag);
		word_sub(words, K, 3, (uint32_t)tag);
	}
}

Test(word_deaths, two_add_and_subtract_and_an_older_one_changes_nothing)
{
	pid_t pids[3];

	word_add(words, K, 3, 6);
	pids[0] = worker(work_million, 6);
	pids[1] = worker(work_million, 6);
	pids[2] = worker(work_million, 5);
	*gate = 1;
	for (int i = 0; i < 3; i++)
		reap(pids[i]);
	cr_assert_eq(words->cells[word_at(K, 3)], cell(6, 1), "%llx",
	    (unsigned long long)words->cells[word_at(K, 3)]);
}

/* What a worker does: requests that open and close, some for an endpoint that
 * is not there any more. In so many rounds endpoints change hands, and none is
 * open at the end; 0: until it is killed. */
static void
work_shares(int rounds)
{
	struct { uint32_t id, tag; } open[8] = { 0 };
	uint32_t tag = 5, j;

	for (int i = 0; rounds == 0 || i < rounds; i++) {
		j = (uint32_t)unit_random() % 8;
		if (open[j].tag != 0)
			word_share_sub(words, rows[1], K, open[j].id,
			    open[j].tag);
		tag += rounds > 0 && i % 5000 == 4999;
		open[j].id = (uint32_t)unit_random() % IDS;
		open[j].tag = tag - (unit_random() % 8 == 0);
		word_share_add(words, rows[1], K, open[j].id, open[j].tag);
	}
	for (j = 0; j < 8; j++)
		if (open[j].tag != 0)
			word_share_sub(words, rows[1], K, open[j].id,
			    open[j].tag);
}

/* How far all words are from the shares of worker 0, in sum. */
static uint64_t
off_by(void)
{
	uint64_t off = 0, w, s;

	for (uint32_t id = 0; id < IDS; id++) {
		w = words->cells[word_at(K, id)];
		s = rows[0]->shares.cells[word_at(K, id)];
		off += (uint64_t)llabs((int64_t)(uint32_t)w -
		    (w >> 32 == s >> 32 ? (int64_t)(uint32_t)s : 0));
	}
	return off;
}

/* Worker 0 has three requests open to each endpoint, so that a word that is
 * short shows as well as one that is over. */
static void
three_open(uint32_t tag)
{
	for (uint32_t id = 0; id < IDS; id++)
		for (int i = 0; i < 3; i++)
			word_share_add(words, rows[0], K, id, tag);
}

Test(word_deaths, killed_anywhere, .timeout = 60)
{
	uint64_t off, was = 0;
	int leaks = 0;
	pid_t pid;

	three_open(5);
	for (int i = 0; i < KILLS; i++) {
		pid = worker(work_shares, 0);
		*gate = 1;
		nap(300000 + (long)(unit_random() % 1000000));
		kill(pid, SIGKILL);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		word_shares_take(words, rows[1]);
		for (uint32_t id = 0; id < IDS; id++)
			cr_assert_eq(rows[1]->shares.cells[word_at(K, id)], 0);
		off = off_by();
		cr_assert_leq(off, was + 1, "a death costs more than one");
		leaks += off != was;
		was = off;
	}
	cr_assert_gt(leaks, 0, "no kill came between share and word");
	cr_assert_eq(heal() + heal(), 0);
	cr_assert_gt(heal(), 0);
	cr_assert_eq(off_by(), 0);
	for (uint32_t id = 0; id < IDS; id++)
		for (int i = 0; i < 3; i++)
			word_share_sub(words, rows[0], K, id, 5);
	for (uint32_t id = 0; id < IDS; id++)
		cr_assert_eq((uint32_t)words->cells[word_at(K, id)], 0);
}

/* The share is out of the row, the word still has it, the cleaner is dead. */
Test(word_deaths, a_cleaner_dies_halfway)
{
	three_open(5);
	for (int i = 0; i < 2; i++)
		for (uint32_t id = 0; id < IDS; id++)
			word_share_add(words, rows[1], K, id, 5);
	rows[1]->shares.cells[word_at(K, 7)] = 0;
	word_shares_take(words, rows[1]);
	cr_assert_eq(off_by(), 2);
	cr_assert_eq(word_get(words, K, 7, 5), 5);
	cr_assert_eq(heal() + heal(), 0);
	cr_assert_eq(heal(), 1);
	cr_assert_eq(off_by(), 0);
}

/* Calls that follow at once, as no master makes them, take a worker that was
 * preempted between share and word for a leak. They take it back. */
Test(word_deaths, heal_beside_workers, .timeout = 60)
{
	pid_t pid = worker(work_shares, 2 * MILLION);
	int status;

	*gate = 1;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		heal();
		for (uint32_t id = 0; id < IDS; id++) {
			word_share_add(words, rows[0], K, id, 5);
			word_share_sub(words, rows[0], K, id, 5);
		}
	}
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (int i = 0; i < WORD_DOUBTS_SEEN; i++)
		heal();
	cr_assert_eq(off_by(), 0);
	for (uint32_t id = 0; id < IDS; id++) {
		cr_assert_gt(words->cells[word_at(K, id)] >> 32, 5);
		cr_assert_eq((uint32_t)words->cells[word_at(K, id)], 0);
	}
}
