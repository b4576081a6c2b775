-- Columns of ``$derived`` without a description, with that of their namesake in ``$origin``.
SELECT d.table_name, d.column_name, o.comment
FROM duckdb_columns() d
JOIN duckdb_columns() o ON o.column_name = d.column_name
WHERE d.table_name = $derived AND o.table_name = $origin AND d.comment IS NULL
ORDER BY d.column_index;
