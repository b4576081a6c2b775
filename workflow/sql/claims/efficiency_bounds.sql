-- Efficiency gains printed as lower bounds against the largest one that the budgets allow: the
-- largest budget over the smallest.
SELECT
    model || ': ' || printed AS case_name,
    $largest_budget / $smallest_budget AS value,
    number AS reference
FROM printed_numbers()
WHERE metric = 'efficiency_gain_over_majority' AND printed LIKE '>%'
ORDER BY case_name;
