/*
 * t/sim/body.h - one direction of a call, by its script: bytes that go at a
 * pace and no further than a gate, bytes that come and whose credit goes back
 * late.
 *
 *   pour    released by the alarm, let on by the gate ──> DATA ──> its end
 *   intake  DATA ──> is it the script's? ──> owed ──> WINDOW_UPDATE
 */
#ifndef T_SIM_BODY_H
#define T_SIM_BODY_H

#include "t/sim/end.h"
#include "t/sim/script.h"

struct pour {
	struct end	*end;
	struct call	*call;
	const struct pace *pace;
	enum direction	 direction;
	int32_t		 stream;
	uint32_t	 bytes;		/* all of it */
	uint32_t	 sent_bytes, released_bytes, gate_bytes;
	uint32_t	 end_ms;	/* the end comes so much later */
	bool		 may_end;	/* its owner says */
	bool		 waited;	/* end_ms is over */
	bool		 deferred, ended;
	nghttp2_nv	 trailers[1];
	size_t		 trailers_n;
	struct alarm	 alarm;
};

struct intake {
	struct end	*end;
	const struct call *call;
	const struct pace *pace;
	struct taken	*taken;		/* in the call's row */
	enum direction	 direction;
	int32_t		 stream;
	uint32_t	 owed_bytes;
	bool		 stalled;	/* it did that */
	struct alarm	 alarm;
};

/* Begins; nothing is let on by the gate yet. */
void	pour_init(struct pour *p, struct end *e, struct call *c,
	    enum direction d, const struct pace *pace, uint32_t bytes);
/* For nghttp2_submit_request and _response. */
nghttp2_data_provider pour_provider(struct pour *p);
/* The gate lets on up to so many bytes. */
void	pour_let(struct pour *p, uint32_t bytes);
void	pour_end(struct pour *p);
/* All is with nghttp2: the stream's own end is the caller's of these. */
void	pour_fini(struct pour *p);

void	intake_init(struct intake *i, struct end *e, const struct call *c,
	    enum direction d, const struct pace *pace, struct taken *taken);
void	intake_data(struct intake *i, const uint8_t *p, size_t n);
void	intake_fini(struct intake *i);

#endif
