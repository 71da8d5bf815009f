/* master/whole.c - see whole.h. */
#include "master/whole.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

int
whole_read(int fd, void *to, size_t *n)
{
	uint8_t *p = to;
	size_t got = 0;
	ssize_t more = 1;

	while (got < *n && more != 0) {
		more = pread(fd, p + got, *n - got, (off_t)got);
		if (more == -1 && errno != EINTR)
			return -1;
		if (more > 0)
			got += (size_t)more;
	}
	*n = got;
	return 0;
}

int
whole_write(int fd, const void *from, size_t n)
{
	const uint8_t *p = from;
	ssize_t done;

	while (n > 0) {
		done = write(fd, p, n);
		if (done == -1 && errno != EINTR)
			return -1;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return 0;
}
