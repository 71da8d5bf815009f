/*
 * xds/retry_on.h - the words of RetryPolicy.retry_on, and of an intent's
 * retry.on (retry_on.def). Test: t/unit/compile.c, t/unit/intent.c.
 */
#ifndef XDS_RETRY_ON_H
#define XDS_RETRY_ON_H

/* Its row in retry_on.def; -1: it is none, and *best is the one that it is
 * nearest to, or NULL. */
int	retry_on_find(const char *word, const char **best);

#endif
