-- Statements that write descriptions: ``$texts`` of ``$columns`` of ``$tables``, lists of the same
-- length; the column is null where the text is about the table. COMMENT ON takes no parameters.
SELECT
    'COMMENT ON ' || if(name IS NULL, 'TABLE ', 'COLUMN ') || '"' || owner || '"'
    || coalesce('."' || name || '"', '') || ' IS ''' || replace(text, '''', '''''') || ''';'
FROM (SELECT unnest($tables) AS owner, unnest($columns) AS name, unnest($texts) AS text);
