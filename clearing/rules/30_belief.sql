-- Did the card really make this tap? Its TAC says so; failing that, once a night has passed, the card's next
-- tap does, when it began with just the balance that this one left.
SELECT tap.no, tap.card_no, tap.counter, tap.balance_before_fen, tap.amount_fen, tap.at_s,
       place.device_state, place.card_known, copies.duplicate,
       tac.tac_ok OR proof.no IS NOT NULL AS believed
FROM tap
JOIN copies ON copies.no = tap.no
JOIN place ON place.no = tap.no
JOIN tac ON tac.no = tap.no
LEFT JOIN (SELECT DISTINCT grey.no
           FROM tap grey
           JOIN tac grey_tac ON grey_tac.no = grey.no
           JOIN (SELECT tap.card_no, tap.counter, tap.balance_before_fen
                 FROM tap
                 JOIN copies ON copies.no = tap.no
                 JOIN place ON place.no = tap.no
                 JOIN tac ON tac.no = tap.no
                 WHERE NOT copies.duplicate AND place.card_known AND tac.tac_ok
                 UNION ALL
                 SELECT card_no, counter, balance_before_fen FROM earlier WHERE tac_ok AND believed) successor
             ON successor.card_no = grey.card_no
            AND successor.counter = grey.counter + 1
            AND successor.balance_before_fen = grey.balance_before_fen - grey.amount_fen
           WHERE grey.retried AND NOT grey_tac.tac_ok) proof
  ON proof.no = tap.no
