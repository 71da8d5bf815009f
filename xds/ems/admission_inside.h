/*
 * xds/ems/admission_inside.h - what admission.c and admission_plan.c share: a
 * trial, changes in the model for a moment.
 */
#ifndef XDS_EMS_ADMISSION_INSIDE_H
#define XDS_EMS_ADMISSION_INSIDE_H

#include "xds/ems/admission.h"

struct trial_swap {
	enum intent_noun noun;
	char		 name[INTENT_NAME_MAX + 1];
	struct intent	*before;	/* or NULL */
};

struct trial {
	struct trial_swap *swaps;
	size_t		 n;
};

/* -1: why, and the model is as before. */
int	trial_begin(struct model *m, const struct store_change *changes,
	    size_t n, struct trial *t, char *why, size_t why_len);
/* It is as before again. */
void	trial_end(struct model *m, struct trial *t);

struct ems *admission_ems(const struct admission *a);

#endif
