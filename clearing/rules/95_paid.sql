-- Who pays what: a tap to be paid is paid at the lower of its amount and the tariff's price. A grey tap that
-- nothing has proved within the window is rejected in the end, and so is at once what another city presents of a card
-- that nobody issued or of more than was agreed: its centre is to hear what we decide, and decides no more itself.
SELECT verdict.no, verdict.tac_ok, verdict.chained, verdict.price_fen,
       CASE WHEN verdict.verdict = 'accepted' AND verdict.price_fen <> verdict.amount_fen THEN 'price_differs'
            ELSE verdict.verdict END AS verdict,
       CASE WHEN verdict.verdict = 'tac_wrong' AND verdict.window_over THEN 'rejected'
            WHEN verdict.abroad AND verdict.verdict IN ('card_unknown', 'amount_out_of_bounds') THEN 'rejected'
            ELSE verdict_money.money END AS money,
       CASE WHEN verdict_money.money <> 'paid' THEN 0
            WHEN verdict.price_fen < verdict.amount_fen THEN verdict.price_fen
            ELSE verdict.amount_fen END AS paid_fen
FROM verdict
JOIN verdict_money ON verdict_money.verdict = verdict.verdict
