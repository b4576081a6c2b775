-- Inference FLOPs of each pair of Table 4: those of the large policy with CoT against those of the
-- small one with TTS. prm_billions: parameters of a PRM that reads every generated token once, of a model
-- that was run with one; 0 leaves it out, as the paper does. active_billions: parameters of the mixture of
-- experts that work on a token; 0 counts all of them, as the paper does.
WITH
work AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY method ORDER BY billions) AS pair,
        number * CASE
            WHEN read_by_prm(model, method) THEN 1 + $prm_billions / billions
            WHEN model = 'DeepSeek-R1' AND $active_billions > 0 THEN $active_billions / billions
            ELSE 1
        END AS flops
    FROM printed_numbers()
    WHERE item = 'Table 4' AND metric = 'inference_FLOPS'
)
SELECT
    large.model || ' against ' || small.model AS case_name,
    large.flops AS value,
    small.flops AS reference
FROM work AS small
INNER JOIN work AS large USING (pair)
WHERE small.method <> 'CoT' AND large.method = 'CoT'
ORDER BY case_name;
