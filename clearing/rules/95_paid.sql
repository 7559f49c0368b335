-- Who pays what: a tap to be paid is paid at the lower of its amount and the tariff's price; one in another city, at
-- what was taken there. A tap without a verdict of its own is accepted, and the card made it. A grey tap that nothing
-- has proved within the window is rejected in the end, and so is at once what another city presents of a card that
-- nobody issued or of more than was agreed: its centre is to hear what we decide, and decides no more itself.
SELECT priced.no, priced.tac_ok, priced.chained, priced.price_fen,
       CASE WHEN priced.verdict = 'accepted' AND priced.price_fen <> priced.amount_fen THEN 'price_differs'
            ELSE priced.verdict END AS verdict,
       priced.money,
       CASE WHEN priced.money <> 'paid' THEN 0
            WHEN priced.price_fen < priced.amount_fen THEN priced.price_fen
            ELSE priced.amount_fen END AS paid_fen
FROM (SELECT tap.no, tap.amount_fen, COALESCE(judged.tac_ok, TRUE) AS tac_ok, COALESCE(judged.chained, TRUE) AS chained,
             COALESCE(judged.verdict, 'accepted') AS verdict, COALESCE(judged.money, accepted.money) AS money,
             CASE WHEN judged.abroad THEN tap.amount_fen
                  ELSE COALESCE(bounds.price_fen, own.price_fen) END AS price_fen
      FROM tap
      CROSS JOIN (SELECT money FROM verdict_money WHERE verdict = 'accepted') accepted
      LEFT JOIN (SELECT verdict.no, verdict.verdict, verdict.abroad, verdict.tac_ok, verdict.chained,
                        CASE WHEN verdict.verdict = 'tac_wrong' AND verdict.window_over THEN 'rejected'
                             WHEN verdict.abroad AND verdict.verdict IN ('card_unknown', 'amount_out_of_bounds')
                             THEN 'rejected'
                             ELSE verdict_money.money END AS money
                 FROM verdict
                 JOIN verdict_money ON verdict_money.verdict = verdict.verdict) judged ON judged.no = tap.no
      LEFT JOIN (SELECT no, price_fen FROM history_fare WHERE price_fen IS NOT NULL) own ON own.no = tap.no
      LEFT JOIN bounds ON bounds.fare_kind = tap.fare_kind AND bounds.tap_day = tap.tap_day) priced
