/*
 * shm/title.h - what ps shows of a process, and what it is doing just now:
 *
 *   godwit: keeper: serving, 2 workers, generation 7
 *   godwit: master: generation 7
 *   godwit: worker 2: draining, 3 streams
 *
 * The kernel shows the bytes where argv lies, so the title is written there,
 * over argv and the environment behind it, which are copied away first.
 * Test: t/mesh/000-start.py, t/mesh/400-failures.py.
 */
#ifndef SHM_TITLE_H
#define SHM_TITLE_H

/* First of all in main: argv where it stays. Without memory it is argv itself,
 * and nothing is ever shown. */
char	**title_open(int argc, char **argv);

/* Shows "godwit: WHO", and ": DOING" when doing is not "". */
void	title_set(const char *who, const char *doing);

#endif
