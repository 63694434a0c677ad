/* avro_internal.h: what the decoder's two files share. */
#ifndef WR_DECODE_AVRO_INTERNAL_H
#define WR_DECODE_AVRO_INTERNAL_H

#include "decode/avro_program.h"

/* Its schemas are struct wr_avro_schema. */
extern const struct wr_schema_format wr_avro_format;

#endif
