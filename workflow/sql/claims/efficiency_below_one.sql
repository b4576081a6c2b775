-- Models whose compute-optimal accuracy is printed above that of majority voting: their efficiency
-- gain over majority voting, which is then at least 1 if majority voting is best at the largest
-- budget. Below 1, compute-optimal scaling would need more samples than the grid has.
SELECT
    gains.model
    || if(
        gains.number < 1,
        format(
            ' (would need N = {:.0f} if majority voting were best at N = {:.0f})',
            $largest_budget / gains.number, $largest_budget::DOUBLE
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
