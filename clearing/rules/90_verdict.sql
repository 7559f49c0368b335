-- The first that applies.
SELECT tap.no,
       CASE WHEN tap.malformed THEN 'malformed'
            WHEN belief.duplicate THEN 'duplicate'
            WHEN belief.device_state = 'unknown' THEN 'device_unknown'
            WHEN belief.device_state = 'withdrawn' THEN 'device_withdrawn'
            WHEN NOT belief.card_known THEN 'card_unknown'
            WHEN NOT belief.believed THEN 'tac_wrong'
            WHEN conflict.no IS NOT NULL THEN 'counter_conflict'
            WHEN listed.listing = 'effective' THEN 'hotlisted'
            WHEN validity.validity = 'early' THEN 'card_not_yet_valid'
            WHEN validity.validity = 'late' THEN 'card_expired'
            WHEN listed.listing = 'grace' THEN 'hotlisted_grace'
            WHEN bounds.too_late THEN 'too_late'
            WHEN bounds.out_of_bounds THEN 'amount_out_of_bounds'
            WHEN continuity.gap THEN 'balance_gap'
            ELSE 'accepted' END AS verdict,
       COALESCE(tac.tac_ok, FALSE) AS tac_ok,
       continuity.no IS NOT NULL AS chained,
       tap.retried AND COALESCE(bounds.window_over, FALSE) AS window_over
FROM tap
LEFT JOIN tac ON tac.no = tap.no
LEFT JOIN belief ON belief.no = tap.no
LEFT JOIN conflict ON conflict.no = tap.no
LEFT JOIN listed ON listed.no = tap.no
LEFT JOIN validity ON validity.no = tap.no
LEFT JOIN bounds ON bounds.no = tap.no
LEFT JOIN continuity ON continuity.no = tap.no
