-- One parquet file as another in less room: at the highest level of zstd, and without filters for
-- single values, which nobody looks for in files that are read whole.
COPY (FROM read_parquet($source)) TO ($target) (
    FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 22, WRITE_BLOOM_FILTER false
);
