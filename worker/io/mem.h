/*
 * worker/io/mem.h - memory by size class: what a worker gives back it gets
 * again without asking libc, so that steady state allocates nothing.
 *
 *   64 128 ... 1024 | 2112 4160 8256 16448 | larger: straight to sys
 *   one free list each, last in first out: the next block is warm
 *
 * Invariants
 *   I1  Blocks are 16-byte aligned and carry their class in front.
 *   I2  What was freed stays here until mem_fini; with the address sanitizer
 *       it goes back at once, and the shared frame is all that is reused.
 *   I3  Between mem_frame_begin and mem_frame_end the first request of
 *       MEM_FRAME_BYTES gets one and the same block, whose free is ignored;
 *       not while a session writes a frame (mem_frame_use): who begins then
 *       would write into it, and has a block of its own.
 *
 * Why the shared frame: an nghttp2 session keeps a frame buffer that is only
 * live inside one nghttp2_session_mem_send; 1,000 connections need one, not
 * 1,000 (reference/nghttp2-floor.md, section 4). See h2.c, I4.
 * Test: t/unit/mem.c.
 */
#ifndef WORKER_IO_MEM_H
#define WORKER_IO_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/io/sys.h"

enum {
	MEM_STEP_BYTES = 64, MEM_SMALL = 16, MEM_LARGE = 4,
	MEM_CLASSES = MEM_SMALL + MEM_LARGE,
	MEM_FRAME_BYTES = 16394,	/* 9 + 16384 + 1: nghttp2 1.52 */
};

struct mem {
	struct sys	*sys;
	struct mem_block *free[MEM_CLASSES];
	uint64_t	 out_n;		/* blocks in use */
	void		*frame;		/* the shared block (I3), or NULL */
	bool		 in_frame;	/* the next such request gets it */
	uint32_t	 frame_users_n;
};

void	mem_init(struct mem *m, struct sys *sys);
void	mem_fini(struct mem *m);

/* Not zeroed. NULL: no memory. */
void	*mem_alloc(struct mem *m, size_t n);
void	*mem_realloc(struct mem *m, void *p, size_t n);
void	 mem_free(struct mem *m, void *p);

/* False: it is in use, and is not handed out. */
bool	mem_frame_begin(struct mem *m);
void	mem_frame_end(struct mem *m);
/* A session writes frames from here to mem_frame_let_go. */
void	mem_frame_use(struct mem *m);
void	mem_frame_let_go(struct mem *m);

#endif
