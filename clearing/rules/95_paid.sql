-- Who pays what: a tap to be paid is paid at the lower of its amount and the tariff's price. A tap without a verdict
-- of its own is accepted, and the card made it. A grey tap that nothing has proved within the window is rejected
-- in the end.
SELECT tap.no, COALESCE(judged.tac_ok, TRUE) AS tac_ok, COALESCE(judged.chained, TRUE) AS chained,
       COALESCE(bounds.price_fen, own.price_fen) AS price_fen,
       CASE WHEN COALESCE(judged.verdict, 'accepted') = 'accepted'
             AND COALESCE(bounds.price_fen, own.price_fen) <> tap.amount_fen THEN 'price_differs'
            ELSE COALESCE(judged.verdict, 'accepted') END AS verdict,
       COALESCE(judged.money, accepted.money) AS money,
       CASE WHEN judged.money <> 'paid' THEN 0
            WHEN COALESCE(bounds.price_fen, own.price_fen) < tap.amount_fen
            THEN COALESCE(bounds.price_fen, own.price_fen)
            ELSE tap.amount_fen END AS paid_fen
FROM tap
CROSS JOIN (SELECT money FROM verdict_money WHERE verdict = 'accepted') accepted
LEFT JOIN (SELECT verdict.no, verdict.verdict, verdict.tac_ok, verdict.chained,
                  CASE WHEN verdict.verdict = 'tac_wrong' AND verdict.window_over THEN 'rejected'
                       ELSE verdict_money.money END AS money
           FROM verdict
           JOIN verdict_money ON verdict_money.verdict = verdict.verdict) judged ON judged.no = tap.no
LEFT JOIN (SELECT no, price_fen FROM history_fare WHERE price_fen IS NOT NULL) own ON own.no = tap.no
LEFT JOIN bounds ON bounds.fare_kind = tap.fare_kind AND bounds.tap_day = tap.tap_day
