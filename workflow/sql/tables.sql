-- Names of the tables and views of the database.
SELECT table_name AS name FROM information_schema.tables ORDER BY ALL;
