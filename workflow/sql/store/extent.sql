-- What a parquet file unpacks to, by its footer: rows, and bytes of all columns.
SELECT
    (SELECT sum(num_rows) FROM parquet_file_metadata($source)) AS n_rows,
    (SELECT sum(total_uncompressed_size) FROM parquet_metadata($source)) AS n_bytes;
