-- Who pays what, of each tap with a verdict of its own (`verdict`): a tap to be paid is paid at the lower of its amount
-- and the tariff's price; one in another city, at what was taken there. Any other tap is accepted, the card made it, and
-- what it took is its price and what is paid for it. A grey tap that nothing has proved within the window is rejected in
-- the end, and so is at once what another city presents of a card that nobody issued or of more than was agreed: its
-- centre is to hear what we decide, and decides no more itself.
SELECT priced.no, priced.tac_ok, priced.chained, priced.amount_fen, priced.price_fen,
       CASE WHEN priced.verdict = 'accepted' AND priced.price_fen <> priced.amount_fen THEN 'price_differs'
            ELSE priced.verdict END AS verdict,
       priced.money,
       CASE WHEN priced.money <> 'paid' THEN 0
            WHEN priced.price_fen < priced.amount_fen THEN priced.price_fen
            ELSE priced.amount_fen END AS paid_fen
FROM (SELECT verdict.no, verdict.tac_ok, verdict.chained, verdict.amount_fen, verdict.price_fen, verdict.verdict,
             CASE WHEN verdict.verdict = 'tac_wrong' AND verdict.window_over THEN 'rejected'
                  WHEN verdict.abroad AND verdict.verdict IN ('card_unknown', 'amount_out_of_bounds')
                  THEN 'rejected'
                  ELSE verdict_money.money END AS money
      FROM verdict
      JOIN verdict_money ON verdict_money.verdict = verdict.verdict) priced
