/*
 * xds/ems/stamp.h - whether a file is another than it was. Test:
 * t/mesh/907-identities.py (certificates), 910-rest.py (the token).
 */
#ifndef XDS_EMS_STAMP_H
#define XDS_EMS_STAMP_H

#include <stdint.h>

/* Another number when the file was written or replaced; 0: it is not there. */
uint64_t stamp_of(const char *file);

#endif
