CREATE VIEW unit_costs AS
SELECT * EXCLUDE (bucket) FROM bucket_costs WHERE bucket = 'all';

COMMENT ON VIEW unit_costs IS
'What a method costs on its own, per problem and unit of budget: means over all stored units';
