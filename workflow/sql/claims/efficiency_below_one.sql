-- Models whose compute-optimal accuracy is printed above that of majority voting: their efficiency
-- gain over majority voting, which is below 1 where compute-optimal scaling needs the larger budget to
-- be as accurate. As that budget is one of the grid at most, majority voting is then best before its end.
SELECT
    gains.model
    || if(
        gains.number < 1,
        format(
            ' (majority voting is best at N = {:.0f} at most, as the grid ends at N = {:.0f})',
            floor(gains.number * $largest_budget), $largest_budget::DOUBLE
        ),
        ''
    ) AS case_name,
    gains.number AS value,
    1.0 AS reference
FROM printed_numbers() AS gains
INNER JOIN printed_numbers() AS scaled USING (item, model)
INNER JOIN printed_numbers() AS voted USING (item, model)
WHERE
    gains.metric = 'efficiency_gain_over_majority'
    AND scaled.metric = 'accuracy'
    AND scaled.method = 'compute-optimal TTS'
    AND voted.method = 'Majority voting'
    AND scaled.number > voted.number
ORDER BY gains.model;
